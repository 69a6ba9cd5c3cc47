package drivertest

import "slices"

// mutants are the ways to break the contract that the suite is known to find.
var mutants = slices.Concat(appendMutants, conditionMutants, idMutants, readMutants, recordMutants, besideMutants)
