// peer is a service on the official Nacos client for Go, driven over standard input and output; it ends when its input
// closes.
//
//	peer DIR OPTIONS
//
// The client keeps its logs and caches under DIR. OPTIONS, the commands (lines on standard input) and the events (lines
// on standard output) are JSON objects, the same as those of the peer on the Java client (Peer.java):
//
//	options   server (host:port, comma-separated); namespace, user, password
//	commands  cmd, service; group
//	  register, update   ip, port, weight, metadata, cluster, enabled, ephemeral
//	  deregister         ip, port, cluster, ephemeral
//	  list               what this client knows: at first what the server says, and it subscribes by that
//	  subscribe
//	events    event, ts (Unix time)
//	  ready
//	  result             of a command: cmd, ok; error, instances
//	  instances          the client told a subscriber: service, group, instances
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

type obj = map[string]any

type options struct {
	Server, Namespace, User, Password string
}

// command is one line of input; what is left out has the value that the client's users give it.
type command struct {
	Cmd, Service, Group, Cluster, Ip string
	Port                             uint64
	Weight                           float64
	Enabled, Ephemeral               bool
	Metadata                         map[string]string
}

var writing sync.Mutex

func write(event string, fields obj) {
	writing.Lock()
	defer writing.Unlock()
	fields["event"] = event
	fields["ts"] = float64(time.Now().UnixMicro()) / 1e6
	line, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func described(instances []model.Instance) []obj {
	described := []obj{}
	for _, i := range instances {
		described = append(described, obj{"ip": i.Ip, "port": i.Port, "weight": i.Weight, "healthy": i.Healthy, "enabled": i.Enable,
			"ephemeral": i.Ephemeral, "cluster": i.ClusterName, "metadata": i.Metadata})
	}
	return described
}

func connect(dir string, given options) (naming_client.INamingClient, error) {
	var servers []constant.ServerConfig
	for _, address := range strings.Split(given.Server, ",") {
		host, text, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return nil, err
		}
		servers = append(servers, *constant.NewServerConfig(host, port))
	}
	return clients.NewNamingClient(vo.NacosClientParam{ServerConfigs: servers, ClientConfig: constant.NewClientConfig(
		constant.WithNamespaceId(given.Namespace), constant.WithUsername(given.User), constant.WithPassword(given.Password),
		constant.WithTimeoutMs(5000), constant.WithNotLoadCacheAtStart(true), constant.WithUpdateCacheWhenEmpty(true),
		constant.WithLogDir(dir+"/logs"), constant.WithCacheDir(dir+"/cache"), constant.WithLogLevel("warn"))})
}

func carryOut(client naming_client.INamingClient, c command, result obj) error {
	switch c.Cmd {
	case "register":
		_, err := client.RegisterInstance(vo.RegisterInstanceParam{Ip: c.Ip, Port: c.Port, ServiceName: c.Service, GroupName: c.Group,
			ClusterName: c.Cluster, Weight: c.Weight, Enable: c.Enabled, Healthy: true, Ephemeral: c.Ephemeral, Metadata: c.Metadata})
		return err
	case "update":
		_, err := client.UpdateInstance(vo.UpdateInstanceParam{Ip: c.Ip, Port: c.Port, ServiceName: c.Service, GroupName: c.Group,
			ClusterName: c.Cluster, Weight: c.Weight, Enable: c.Enabled, Healthy: true, Ephemeral: c.Ephemeral, Metadata: c.Metadata})
		return err
	case "deregister":
		_, err := client.DeregisterInstance(vo.DeregisterInstanceParam{Ip: c.Ip, Port: c.Port, ServiceName: c.Service, GroupName: c.Group,
			Cluster: c.Cluster, Ephemeral: c.Ephemeral})
		return err
	case "list":
		found, err := client.SelectAllInstances(vo.SelectAllInstancesParam{ServiceName: c.Service, GroupName: c.Group})
		result["instances"] = described(found)
		return err
	case "subscribe":
		return client.Subscribe(&vo.SubscribeParam{ServiceName: c.Service, GroupName: c.Group,
			SubscribeCallback: func(instances []model.Instance, err error) {
				told := obj{"service": c.Service, "group": c.Group, "instances": described(instances)}
				if err != nil {
					told["error"] = err.Error()
				}
				write("instances", told)
			}})
	}
	return errors.New("unknown command")
}

func main() {
	var given options
	if err := json.Unmarshal([]byte(os.Args[2]), &given); err != nil {
		panic(err)
	}
	client, err := connect(os.Args[1], given)
	if err != nil {
		panic(err)
	}
	write("ready", obj{"pid": os.Getpid()})
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		c := command{Group: constant.DEFAULT_GROUP, Cluster: "DEFAULT", Weight: 1, Enabled: true, Ephemeral: true}
		result := obj{"ok": true}
		err := json.Unmarshal(input.Bytes(), &c)
		if err == nil {
			err = carryOut(client, c, result)
		}
		result["cmd"] = c.Cmd
		if err != nil {
			result["ok"], result["error"] = false, err.Error()
		}
		write("result", result)
	}
	client.CloseClient()
}
