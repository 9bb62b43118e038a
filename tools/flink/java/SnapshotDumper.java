import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.core.memory.DataInputViewStreamWrapper;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;
import org.apache.flink.runtime.state.KeyGroupsStateHandle;
import org.apache.flink.runtime.state.KeyedBackendSerializationProxy;
import org.apache.flink.runtime.state.KeyedStateHandle;
import org.apache.flink.runtime.state.OperatorBackendSerializationProxy;
import org.apache.flink.runtime.state.OperatorStateHandle;
import org.apache.flink.runtime.state.StreamStateHandle;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Has Flink restore a snapshot into a job of probe operators, one per operator of the snapshot, and prints
 * all state that they were given, as sorted JSON lines:
 *
 *   --snapshot DIR [--uids a,b,...] [--parallelism N] [--backend auto|hashmap|rocksdb]
 *   [--count]     print only how many entries were read and how long that took
 *
 * Names, kinds and serializers come from the snapshot itself, so any job's snapshot can be read as long as
 * its classes are on the class path. Operators are named by uid where known, else by ID.
 */
public final class SnapshotDumper {
    private SnapshotDumper() {}

    public static void main(String[] argv) throws Exception {
        Args a = new Args(argv);
        StateProbe.countOnly = a.flag("count");
        List<String> lines = read(a.need("snapshot"), Arrays.asList(a.get("uids", "").split(",")),
                (int) a.num("parallelism", 0), a.get("backend", "auto"));
        if (StateProbe.countOnly) {
            long jvm = System.currentTimeMillis() - ManagementFactory.getRuntimeMXBean().getStartTime();
            System.out.printf("entries %d, reading %.2f s, since JVM start %.2f s%n", StateProbe.ENTRIES.get(),
                    StateProbe.READ_NANOS.get() / 1e9, jvm / 1e3);
        } else {
            PrintStream o = new PrintStream(System.out, false, "UTF-8");
            lines.forEach(l -> o.print(l + "\n"));
            o.flush();
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    static List<String> read(String dir, Collection<String> uids, int parallelism, String backend) throws Exception {
        Path root = Paths.get(dir).toAbsolutePath().normalize();
        Map<String, String> names = new LinkedHashMap<>();
        for (String u : uids) if (!u.isEmpty()) names.put(Json.operatorId(u), u);
        CheckpointMetadata meta;
        try (InputStream in = Files.newInputStream(root.resolve("_metadata"))) {
            ClassLoader cl = SnapshotDumper.class.getClassLoader();
            meta = Checkpoints.loadCheckpointMetadata(new DataInputStream(in), cl, "file:" + root);
        }
        if (backend.equals("auto")) backend = needsRocks(meta) ? "rocksdb" : "hashmap";
        StateProbe.reset();
        GatedSource.reset(0);
        int slots = 1, probes = 0;
        try (Cluster c = new Cluster(backend, Collections.singletonMap("state.backend.local-recovery", "false"))) {
            StreamExecutionEnvironment env = c.env();
            env.setParallelism(1);
            DataStream<Long> in = env.fromSource(new GatedSource(), WatermarkStrategy.<Long>noWatermarks(), "silence")
                    .uid("esker-dump-source");
            for (OperatorState op : meta.getOperatorStates()) {
                StateProbe.Plan plan = plan(op);
                if (plan == null) continue;
                String id = op.getOperatorID().toHexString();
                plan.name = names.getOrDefault(id, id);
                StateProbe.PLANS.put(id, plan);
                int p = parallelism > 0 ? Math.min(parallelism, op.getMaxParallelism()) : op.getParallelism();
                DataStream<Long> from = plan.keySerializer == null ? in.rebalance()
                        : in.keyBy((KeySelector<Long, Object>) v -> v, new Compat.Info<>(plan.keySerializer));
                from.transform("probe", Types.LONG, new StateProbe(id)).setUidHash(id).setParallelism(p)
                        .setMaxParallelism(op.getMaxParallelism());
                slots = Math.max(slots, p);
                probes += p;
            }
            if (probes == 0) return new ArrayList<>();
            StateProbe.expect(probes);
            c.start(env.getStreamGraph().getJobGraph(), slots, "file:" + root);
            Cluster.Deadline deadline = new Cluster.Deadline("the state was not read", 900);
            while (!StateProbe.pending.await(50, TimeUnit.MILLISECONDS)) {
                c.failIfFailed();
                deadline.check();
            }
            c.failIfFailed();
        }
        List<String> lines = new ArrayList<>(StateProbe.GOT);
        lines.sort(Json.ORDER);
        return lines;
    }

    /** RocksDB's own files go back into RocksDB only. */
    private static boolean needsRocks(CheckpointMetadata meta) {
        return meta.getOperatorStates().stream().flatMap(o -> o.getStates().stream())
                .flatMap(s -> s.getManagedKeyedState().stream()).anyMatch(SnapshotDumper::isOfRocks);
    }

    private static boolean isOfRocks(KeyedStateHandle h) {
        String name = h.getClass().getSimpleName();
        if (name.startsWith("Incremental")) return true;
        if (!name.startsWith("Changelog")) return false;
        try {
            Object inner = h.getClass().getMethod("getMaterializedStateHandles").invoke(h);
            return ((Collection<?>) inner).stream().anyMatch(x -> isOfRocks((KeyedStateHandle) x));
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Null if the operator has no managed state. */
    private static StateProbe.Plan plan(OperatorState op) throws IOException {
        StateProbe.Plan plan = new StateProbe.Plan();
        ClassLoader cl = SnapshotDumper.class.getClassLoader();
        boolean any = false;
        for (OperatorSubtaskState s : op.getStates()) {
            for (KeyedStateHandle h : s.getManagedKeyedState()) any |= keyedHeader(h, plan, cl);
            for (OperatorStateHandle h : s.getManagedOperatorState()) {
                if (h.getClass().getSimpleName().startsWith("Empty")) continue;     // of file merging
                OperatorBackendSerializationProxy p = new OperatorBackendSerializationProxy(cl);
                try (InputStream in = h.openInputStream()) {
                    p.read(new DataInputViewStreamWrapper(in));
                }
                p.getOperatorStateMetaInfoSnapshots().forEach(m -> plan.operator.putIfAbsent(m.getName(), m));
                p.getBroadcastStateMetaInfoSnapshots().forEach(m -> plan.operator.putIfAbsent(m.getName(), m));
                any = true;
            }
        }
        return any ? plan : null;
    }

    /** A handle begins with, or points to, the description of the key and of every state in it. */
    private static boolean keyedHeader(KeyedStateHandle h, StateProbe.Plan plan, ClassLoader cl) throws IOException {
        StreamStateHandle stream = null;
        if (h instanceof KeyGroupsStateHandle) {
            stream = ((KeyGroupsStateHandle) h).getDelegateStateHandle();
        } else {
            for (String getter : new String[] {"getMetaDataStateHandle", "getMetaStateHandle",
                    "getMaterializedStateHandles"}) {
                try {
                    Object o = h.getClass().getMethod(getter).invoke(h);
                    if (o instanceof Collection) {                          // changelog over materialized state
                        boolean any = false;
                        for (Object x : (Collection<?>) o) any |= keyedHeader((KeyedStateHandle) x, plan, cl);
                        return any;
                    }
                    stream = (StreamStateHandle) o;
                    break;
                } catch (ReflectiveOperationException e) {
                    // not this kind of handle
                }
            }
        }
        if (stream == null) throw new IOException("cannot describe the state in a " + h.getClass().getName());
        KeyedBackendSerializationProxy<Object> p = new KeyedBackendSerializationProxy<>(cl);
        try (InputStream in = stream.openInputStream()) {
            p.read(new DataInputViewStreamWrapper(in));
        }
        if (plan.keySerializer == null) plan.keySerializer = p.getKeySerializerSnapshot().restoreSerializer();
        p.getStateMetaInfoSnapshots().forEach(m -> plan.keyed.putIfAbsent(m.getName(), m));
        return true;
    }
}
