// Command annals keeps events in a log and gives any past state back, from the
// command line. Try it in an empty directory:
//
//	annals demo
//	annals append item-laptop ItemCreated '{"name":"Laptop","quantity":10}'
//	annals state item-laptop
//
// "annals help" lists the commands, "annals errors" the exit codes. Data goes
// to standard output, everything else to standard error.
package main
