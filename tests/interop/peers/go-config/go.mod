module peer

go 1.21

require (
	github.com/ghodss/yaml v1.0.0
	github.com/jeremywohl/flatten v1.0.1
	github.com/joho/godotenv v1.5.1
	github.com/spf13/cast v1.5.0
)

require gopkg.in/yaml.v2 v2.4.0 // indirect
