module github.com/jperrello/brutus-share/examples/brutus

go 1.24

require github.com/jperrello/brutus-share/clients/go v0.0.0

replace github.com/jperrello/brutus-share/clients/go => ../../clients/go
