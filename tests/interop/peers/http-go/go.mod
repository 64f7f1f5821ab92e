module pydoudou.test/http-go

go 1.21
