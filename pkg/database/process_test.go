package database_test

const roleVariable = "DBSLM_DATABASE_TEST_ROLE"

func play(string) int { return 2 }
