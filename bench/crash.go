package main

const crashVariable = "ANNALS_BENCH_CRASH"

func crashChild(string) {}
