import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;

/**
 * A service on the official Nacos client for Java, driven over standard input and output; it ends when its input closes.
 *
 * <p>Its one argument is a JSON object: {@code server} (host:port, comma-separated), and if wanted {@code namespace},
 * {@code user} and {@code password}. Every line it reads is a command, a JSON object with {@code cmd} and
 * {@code service}, and if wanted {@code group}:
 *
 * <ul>
 *   <li>{@code register}, {@code update}: with {@code ip}, {@code port}, {@code weight}, {@code metadata},
 *       {@code cluster}, {@code enabled}, {@code ephemeral}. This client updates by registering again.
 *   <li>{@code deregister}: with {@code ip}, {@code port}, {@code cluster}, {@code ephemeral}
 *   <li>{@code list}: what the server says now; the result has {@code instances}
 *   <li>{@code subscribe}
 * </ul>
 *
 * <p>Every line it writes is a JSON object with {@code event} and {@code ts} (Unix time): {@code ready}, {@code result}
 * (of a command, with {@code cmd} and {@code ok}), {@code instances} (the client told a subscriber, with
 * {@code service}).
 */
public class Peer {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUTPUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] arguments) throws Exception {
        JsonNode options = JSON.readTree(arguments[0]);
        Properties properties = new Properties();
        properties.put("serverAddr", options.get("server").asText());
        properties.put("namespace", options.path("namespace").asText("public"));
        // By default this client keeps the last instances when it is told that there are none.
        properties.put("namingPushEmptyProtection", "false");
        if (options.has("user")) {
            properties.put("username", options.get("user").asText());
            properties.put("password", options.get("password").asText());
        }
        NamingService naming = NacosFactory.createNamingService(properties);
        write("ready", fields("pid", ProcessHandle.current().pid()));
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = input.readLine()) != null; ) {
            JsonNode command = JSON.readTree(line);
            Map<String, Object> result = fields("cmd", command.get("cmd").asText());
            try {
                carryOut(naming, command, result);
                result.put("ok", true);
            } catch (Exception error) {
                result.put("ok", false);
                result.put("error", error.toString());
            }
            write("result", result);
        }
        naming.shutDown();
        System.exit(0);
    }

    private static void carryOut(NamingService naming, JsonNode command, Map<String, Object> result) throws Exception {
        String service = command.get("service").asText();
        String group = command.path("group").asText("DEFAULT_GROUP");
        switch (command.get("cmd").asText()) {
            case "register", "update" -> naming.registerInstance(service, group, instance(command));
            case "deregister" -> naming.deregisterInstance(service, group, instance(command));
            case "list" -> result.put("instances", described(naming.getAllInstances(service, group, List.of(), false)));
            case "subscribe" -> naming.subscribe(service, group, event -> {
                Map<String, Object> told = fields("service", service);
                told.put("group", group);
                told.put("instances", described(((NamingEvent) event).getInstances()));
                write("instances", told);
            });
            default -> throw new IllegalArgumentException("unknown command");
        }
    }

    private static Instance instance(JsonNode command) {
        Instance instance = new Instance();
        instance.setIp(command.get("ip").asText());
        instance.setPort(command.get("port").asInt());
        instance.setWeight(command.path("weight").asDouble(1));
        instance.setClusterName(command.path("cluster").asText("DEFAULT"));
        instance.setEnabled(command.path("enabled").asBoolean(true));
        instance.setEphemeral(command.path("ephemeral").asBoolean(true));
        Map<String, String> metadata = new LinkedHashMap<>();
        command.path("metadata").fields().forEachRemaining(pair -> metadata.put(pair.getKey(), pair.getValue().asText()));
        instance.setMetadata(metadata);
        return instance;
    }

    private static List<Map<String, Object>> described(List<Instance> instances) {
        return instances.stream().map(instance -> {
            Map<String, Object> described = fields("ip", instance.getIp());
            described.put("port", instance.getPort());
            described.put("weight", instance.getWeight());
            described.put("healthy", instance.isHealthy());
            described.put("enabled", instance.isEnabled());
            described.put("ephemeral", instance.isEphemeral());
            described.put("cluster", instance.getClusterName());
            described.put("metadata", instance.getMetadata());
            return described;
        }).toList();
    }

    private static Map<String, Object> fields(String name, Object value) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put(name, value);
        return fields;
    }

    private static synchronized void write(String event, Map<String, Object> fields) {
        Instant now = Instant.now();
        fields.put("event", event);
        fields.put("ts", now.getEpochSecond() + now.getNano() / 1e9);
        try {
            OUTPUT.println(JSON.writeValueAsString(fields));
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }
}
