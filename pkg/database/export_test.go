package database

// RefuseHybrid is refuseHybrid for tests: no server of the kinds it refuses can be had here.
var RefuseHybrid = refuseHybrid
