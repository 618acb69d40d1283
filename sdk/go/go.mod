module flb

go 1.24
