package store

import "slices"

// CopiedColumns lists what a copy takes along, by table.
func CopiedColumns() map[string][]string {
	columns := map[string][]string{}
	for _, t := range slices.Concat(copiedOfModel, copiedOfBuild, copiedParams, copiedBooks, []copiedTable{copiedText, modelRow, buildRow}) {
		columns[t.table], _ = t.names()
	}
	return columns
}
