module gocount

go 1.24
