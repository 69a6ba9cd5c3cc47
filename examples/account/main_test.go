package main

func Example() {
	main()
	// Output:
	// 1 Deposited {"Amount":100}
	// 2 Deposited {"Amount":50}
	// 3 Withdrawn {"Amount":30}
	// 4 Deposited {"Amount":30}
	// Balance: 150
}
