import java.lang.reflect.Method;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.execution.ExecutionState;
import org.apache.flink.runtime.executiongraph.AccessExecutionGraph;
import org.apache.flink.runtime.executiongraph.AccessExecutionVertex;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** One Flink cluster inside this JVM, with one job on it. */
final class Cluster implements AutoCloseable {
    private final Configuration conf = new Configuration();
    private MiniCluster mini;
    private JobID job;

    Cluster(String backend, Map<String, String> more) {
        set("state.backend.type", backend);                     // the name since 1.19
        set("state.backend", backend);                          // and before
        set("execution.runtime-mode", "STREAMING");
        set("taskmanager.memory.network.max", "64 mb");
        set("taskmanager.memory.network.min", "64 mb");
        set("taskmanager.memory.managed.size", "128 mb");
        set("rest.port", "0");
        set("rest.bind-port", "0");
        set("jobmanager.execution.failover-strategy", "full");
        set("restart-strategy.type", "none");
        set("restart-strategy", "none");
        more.forEach(this::set);
    }

    private void set(String k, String v) { conf.setString(k, v); }

    StreamExecutionEnvironment env() { return StreamExecutionEnvironment.getExecutionEnvironment(conf); }

    /** Starts the job, from a snapshot if one is given, and waits until all of it runs. */
    void start(JobGraph graph, int slots, String from) throws Exception {
        if (from != null) graph.setSavepointRestoreSettings(SavepointRestoreSettings.forPath(from, true));
        job = graph.getJobID();
        mini = new MiniCluster(new MiniClusterConfiguration.Builder().setConfiguration(conf)
                .setNumTaskManagers(1).setNumSlotsPerTaskManager(slots).build());
        mini.start();
        Method submit = null;
        for (Method m : MiniCluster.class.getMethods()) if (m.getName().equals("submitJob")) submit = m;
        ((CompletableFuture<?>) submit.invoke(mini, graph)).get(60, TimeUnit.SECONDS);
        Deadline deadline = new Deadline("the job does not run", 900);
        while (!allRunning()) {
            failIfFailed();
            deadline.check();
            Thread.sleep(20);
        }
    }

    private boolean allRunning() throws Exception {
        if (mini.getJobStatus(job).get() != JobStatus.RUNNING) return false;
        AccessExecutionGraph graph = mini.getExecutionGraph(job).get();
        boolean any = false;
        for (AccessExecutionVertex v : graph.getAllExecutionVertices()) {
            if (v.getExecutionState() != ExecutionState.RUNNING) return false;
            any = true;
        }
        return any;
    }

    void failIfFailed() throws Exception {
        JobStatus s = mini.getJobStatus(job).get();
        if (s.isTerminalState() || s == JobStatus.FAILING) {
            Throwable t = mini.requestJobResult(job).get().getSerializedThrowable()
                    .map(x -> x.deserializeError(Cluster.class.getClassLoader())).orElse(null);
            throw new ExecutionException("the job is " + s, t);
        }
    }

    /** Lets the source send records up to the given number and waits until it has. */
    void sendUpTo(long records) throws Exception {
        GatedSource.limit = records;
        while (GatedSource.sent < records) {
            failIfFailed();
            Thread.sleep(5);
        }
    }

    /** Takes a savepoint; format is CANONICAL or NATIVE. Right after a restore tasks may not be ready yet. */
    String savepoint(String dir, String format) throws Exception {
        for (int tries = 0; ; tries++) {
            try {
                return trySavepoint(dir, format);
            } catch (ExecutionException e) {
                if (tries == 20 || !e.toString().contains("tasks not ready")) throw e;
                Thread.sleep(250);
            }
        }
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private String trySavepoint(String dir, String format) throws Exception {
        for (Method m : MiniCluster.class.getMethods()) {
            if (!m.getName().equals("triggerSavepoint")) continue;
            Object f = m.invoke(mini, job, dir, false, Enum.valueOf((Class) m.getParameterTypes()[3], format));
            return ((CompletableFuture<String>) f).get(300, TimeUnit.SECONDS);
        }
        throw new IllegalStateException("no triggerSavepoint");
    }

    @Override public void close() throws Exception {
        if (mini == null) return;
        try {
            if (!mini.getJobStatus(job).get().isTerminalState()) {
                mini.cancelJob(job).get(60, TimeUnit.SECONDS);
                while (!mini.getJobStatus(job).get().isTerminalState()) Thread.sleep(10);
            }
        } finally {
            mini.close();
        }
    }

    /** Ends what would wait for ever. */
    static final class Deadline {
        private final String what;
        private final long at;

        Deadline(String what, long seconds) {
            this.what = what + " after " + seconds + " s";
            at = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        }

        void check() throws TimeoutException {
            if (System.nanoTime() > at) throw new TimeoutException(what);
        }
    }
}
