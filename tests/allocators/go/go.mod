module hazard

go 1.24
