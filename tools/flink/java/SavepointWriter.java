import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Runs the job of a Spec and has Flink write a savepoint of it into a folder below DIR, whose path is printed:
 *
 *   --spec BenchSpec --keys K --out DIR [--backend hashmap|rocksdb] [--format CANONICAL|NATIVE]
 *   [--parallelism 2] [--max-parallelism 128] [--set flink.option=value]...
 */
public final class SavepointWriter {
    private SavepointWriter() {}

    public static void main(String[] argv) throws Exception {
        Args a = new Args(argv);
        Spec spec = Spec.load(a.need("spec"));
        long keys = Long.parseLong(a.need("keys"));
        Path out = Paths.get(a.need("out")).toAbsolutePath().normalize();
        int parallelism = (int) a.num("parallelism", 2);
        Files.createDirectories(out);
        GatedSource.reset(0);
        Map<String, String> more = new LinkedHashMap<>(a.set);
        // Without one state lies in the memory of the job's manager, which takes little of it.
        more.put("execution.checkpointing.dir", "file:" + out);
        more.put("state.checkpoints.dir", "file:" + out);
        try (Cluster c = new Cluster(a.get("backend", "rocksdb"), more)) {
            StreamExecutionEnvironment env = c.env();
            SpecJob.build(env, spec, keys, parallelism, (int) a.num("max-parallelism", 128));
            c.start(env.getStreamGraph().getJobGraph(), parallelism, null);
            c.sendUpTo(spec.records(keys));
            String path = c.savepoint("file:" + out, a.get("format", "CANONICAL"));
            System.out.println(path.replaceFirst("^file:/*", "/"));
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
