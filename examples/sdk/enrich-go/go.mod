module enrich

go 1.24

require flb v0.0.0

replace flb => ../../../sdk/go
