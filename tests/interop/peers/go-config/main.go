// What go-doudou's own libraries make of a configuration file: one JSON object a line in ({"format", "text"}), one out
// ({"values"} or {"error"}). The flattening of YAML is go-doudou's: an underscore between names, no dashes, upper case.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/ghodss/yaml"
	"github.com/jeremywohl/flatten"
	"github.com/joho/godotenv"
	"github.com/spf13/cast"
)

type question struct {
	Format string `json:"format"`
	Text   string `json:"text"`
}

type answer struct {
	Values map[string]string `json:"values,omitempty"`
	Error  string            `json:"error,omitempty"`
}

func read(asked question) (said answer) {
	defer func() {
		if panicked := recover(); panicked != nil {
			said = answer{Error: fmt.Sprint("panic: ", panicked)}
		}
	}()
	if asked.Format == "dotenv" {
		values, err := godotenv.Parse(strings.NewReader(asked.Text))
		if err != nil {
			return answer{Error: err.Error()}
		}
		return answer{Values: values}
	}
	config := make(map[string]interface{})
	if err := yaml.Unmarshal([]byte(asked.Text), &config); err != nil {
		return answer{Error: err.Error()}
	}
	flat, err := flatten.Flatten(config, "", flatten.UnderscoreStyle)
	if err != nil {
		return answer{Error: err.Error()}
	}
	values := map[string]string{}
	for key, value := range flat {
		values[strings.ToUpper(strings.ReplaceAll(key, "-", ""))] = cast.ToString(value)
	}
	return answer{Values: values}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		_ = json.NewEncoder(os.Stdout).Encode(read(asked))
	}
}
