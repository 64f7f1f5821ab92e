import com.alibaba.nacos.NacosServerBasicApplication;
import com.alibaba.nacos.NacosServerWebApplication;
import com.alibaba.nacos.core.listener.startup.NacosStartUp;
import com.alibaba.nacos.core.listener.startup.NacosStartUpManager;
import com.alibaba.nacos.sys.env.DeploymentType;
import com.alibaba.nacos.sys.env.EnvUtil;
import java.io.IOException;
import org.springframework.boot.Banner;
import org.springframework.boot.WebApplicationType;
import org.springframework.boot.builder.SpringApplicationBuilder;

/**
 * Starts a Nacos server without its console, which needs a port and a third Spring context: first the core beans, then
 * the HTTP side on top of them. Says {@code NACOS READY} and the Unix time when it serves.
 *
 * <p>It ends when its standard input closes, so that it never outlives the test run; with the argument {@code train} it
 * ends by itself as soon as it is ready.
 */
public class NacosTestServer {
    public static void main(String[] args) {
        boolean training = args.length > 0 && args[0].equals("train");
        if (!training) {
            Thread watch = new Thread(NacosTestServer::endWithStandardInput, "standard-input");
            watch.setDaemon(true);
            watch.start();
        }
        try {
            start();
        } catch (Throwable error) {
            error.printStackTrace(System.out);
            // The threads of a start that failed linger: without this the process would never end.
            Runtime.getRuntime().halt(1);
        }
        System.out.printf("%nNACOS READY %.3f%n", System.currentTimeMillis() / 1000.0);
        if (training) {
            System.exit(0);
        }
    }

    private static void start() {
        EnvUtil.setDeploymentType(DeploymentType.SERVER);
        NacosStartUpManager.start(NacosStartUp.CORE_START_UP_PHASE);
        var core = new SpringApplicationBuilder(NacosServerBasicApplication.class)
            .web(WebApplicationType.NONE).bannerMode(Banner.Mode.OFF).run();
        NacosStartUpManager.start(NacosStartUp.WEB_START_UP_PHASE);
        new SpringApplicationBuilder(NacosServerWebApplication.class)
            .parent(core).bannerMode(Banner.Mode.OFF).run();
    }

    private static void endWithStandardInput() {
        try {
            while (System.in.read() != -1) {
                // What is written there means nothing.
            }
        } catch (IOException error) {
            error.printStackTrace(System.out);
        }
        Runtime.getRuntime().halt(0);
    }
}
