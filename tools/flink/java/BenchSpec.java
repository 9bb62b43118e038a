import org.apache.flink.api.common.typeinfo.Types;

/**
 * A million keys, each with one long and a map of five entries: for measuring how long a snapshot takes to read.
 */
public final class BenchSpec extends Spec {
    @Override public long keyIndex(long i, long keys) { return i % keys; }
    @Override public long records(long keys) { return 5 * keys; }

    public BenchSpec() {
        keyed.add(new Keyed("bench", Types.STRING, k -> "user-" + k)
                .with(value("count", Types.LONG, i -> i))
                .with(map("counts", Types.STRING, Types.LONG, i -> "entry-" + i / 1_000_000, i -> -i)));
    }
}
