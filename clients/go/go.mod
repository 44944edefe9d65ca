module github.com/jperrello/brutus-share/clients/go

go 1.24
