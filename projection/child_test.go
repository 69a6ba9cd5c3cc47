package projection_test

const childVariable = "ANNALS_PROJECTION_CHILD"

func child(string) error { return nil }
