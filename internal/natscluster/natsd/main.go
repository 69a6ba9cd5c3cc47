// Command natsd runs the servers of a natscluster.Child.
package main

import "github.com/annals-db/annals/internal/natscluster"

func main() { natscluster.Main() }
