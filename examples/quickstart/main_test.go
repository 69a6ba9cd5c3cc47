package main

func Example() {
	main()
	// Output:
	// selling 8 more: only 7 left
	// version 1: Received {"Amount":10}, then there were 10
	// version 2: Sold {"Amount":3}, then there were 7
}
