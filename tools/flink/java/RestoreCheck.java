import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Has real Flink restore a snapshot and compares all state with an expected JSON-lines file. Exit status:
 * 0 equal, 1 different or not restorable, 2 wrong arguments.
 *
 *   --snapshot DIR --expected FILE [--parallelism N] [--backend auto|hashmap|rocksdb]
 *
 * That restores probes, which take names and serializers from the snapshot. With the options below the real
 * job is also started from the snapshot, with its own serializers, TTL, timers and windows; it may process
 * more records, and then writes a canonical savepoint, whose content is compared too:
 *
 *   --spec DevSpec --keys K --records R [--continue M] [--max-parallelism X] [--job-only]
 *
 * Only operators named in the expected file are compared (by uid or by ID). Many checks in one JVM:
 *
 *   --list FILE     a check in each line, its arguments separated by tabs; after each its number, whether
 *                   it is fine, and its seconds: "done 0 true 3.14"
 */
public final class RestoreCheck {
    private RestoreCheck() {}

    public static void main(String[] argv) throws Exception {
        Args a = new Args(argv);
        boolean ok = true;
        if (a.flag("list")) {
            List<String> checks = Files.readAllLines(Paths.get(a.need("list")), StandardCharsets.UTF_8);
            for (int n = 0; n < checks.size(); n++) {
                long t = System.nanoTime();
                boolean fine = check(new Args(checks.get(n).split("\t")));
                System.out.printf("done %d %b %.2f%n", n, fine, (System.nanoTime() - t) / 1e9);
                System.out.flush();
                ok &= fine;
            }
        } else {
            ok = check(a);
        }
        System.out.flush();
        Runtime.getRuntime().halt(ok ? 0 : 1);
    }

    private static boolean check(Args a) throws IOException {
        String snapshot = a.need("snapshot"), backend = a.get("backend", "auto");
        int parallelism = (int) a.num("parallelism", 0);
        List<String> expected = Files.readAllLines(Paths.get(a.need("expected")), StandardCharsets.UTF_8);
        try {
            if (!a.flag("job-only")) {
                List<String> got = SnapshotDumper.read(snapshot, operators(expected), parallelism, backend);
                if (!compare("restored state", expected, got)) return false;
            }
            return !a.flag("spec") || job(a, snapshot, backend, parallelism, expected);
        } catch (Exception | LinkageError e) {
            System.out.println("FAIL: Flink cannot restore the snapshot");
            for (Throwable c = e; c != null; c = c.getCause()) System.out.println("  caused by: " + c);
            return false;
        }
    }

    private static boolean job(Args a, String snapshot, String backend, int parallelism, List<String> expected)
            throws Exception {
        Spec spec = Spec.load(a.need("spec"));
        long keys = Long.parseLong(a.need("keys")), records = Long.parseLong(a.need("records"));
        long more = a.num("continue", 0);
        int p = parallelism > 0 ? parallelism : 2;
        if (more > 0) expected = later(expected, Expected.lines(spec, keys, records + more, 1));
        Path dir = Files.createTempDirectory("esker-restore");
        try {
            String again;
            GatedSource.reset(records);
            try (Cluster c = new Cluster(backend.equals("auto") ? "rocksdb" : backend, a.set)) {
                StreamExecutionEnvironment env = c.env();
                SpecJob.build(env, spec, keys, p, (int) a.num("max-parallelism", 0));
                String from = "file:" + Paths.get(snapshot).toAbsolutePath().normalize();
                c.start(env.getStreamGraph().getJobGraph(), p, from);
                c.sendUpTo(records + more);
                again = c.savepoint("file:" + dir, "CANONICAL").replaceFirst("^file:/*", "/");
            }
            String what = "state of the running job" + (more > 0 ? " after " + more + " more records" : "");
            return compare(what, expected, SnapshotDumper.read(again, operators(expected), 0, "hashmap"));
        } finally {
            delete(dir);
        }
    }

    /** Operator state does not depend on the records, all else does: `lines` are those after more of them. */
    private static List<String> later(List<String> expected, List<String> lines) {
        List<String> later = new ArrayList<>();
        lines.stream().filter(l -> !operatorState(l)).forEach(later::add);
        expected.stream().filter(RestoreCheck::operatorState).forEach(later::add);
        return later;
    }

    private static boolean operatorState(String line) { return line.contains("\"kind\":\"operator-"); }

    private static Set<String> operators(List<String> lines) {
        Set<String> s = new LinkedHashSet<>();
        for (String l : lines) s.add(operator(l));
        return s;
    }

    private static String operator(String line) {
        int from = "{\"operator\":\"".length();
        return line.substring(from, line.indexOf('"', from));
    }

    private static boolean compare(String what, List<String> expected, List<String> got) {
        Set<String> operators = operators(expected);
        Map<String, Integer> balance = new HashMap<>();
        expected.forEach(l -> balance.merge(l, 1, Integer::sum));
        got.stream().filter(l -> operators.contains(operator(l))).forEach(l -> balance.merge(l, -1, Integer::sum));
        Map<String, Integer> wrong = new TreeMap<>(Json.ORDER);
        balance.forEach((l, n) -> { if (n != 0) wrong.put(l, n); });
        if (wrong.isEmpty()) {
            System.out.println("OK: " + what + " is as expected, " + expected.size() + " lines");
            return true;
        }
        int missing = wrong.values().stream().filter(n -> n > 0).mapToInt(n -> n).sum();
        int extra = -wrong.values().stream().filter(n -> n < 0).mapToInt(n -> n).sum();
        System.out.println("FAIL: " + what + ": " + missing + " lines missing, " + extra + " unexpected");
        wrong.entrySet().stream().limit(10).forEach(e -> {
            String l = e.getKey();
            String cut = l.length() > 300 ? l.substring(0, 300) + "..." : l;
            System.out.println((e.getValue() > 0 ? "  missing    " : "  unexpected ") + cut);
        });
        return false;
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path p : (Iterable<Path>) files.sorted(Comparator.reverseOrder())::iterator) Files.delete(p);
        }
    }
}
