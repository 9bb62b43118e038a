import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.core.io.InputStatus;

/**
 * The numbers 0, 1, 2, ... up to a limit that the driver raises, then silence: the job stays up, so
 * that a snapshot holds exactly the first `limit` records. One job at a time per JVM, parallelism 1.
 */
public final class GatedSource extends NumberSequenceSource {
    static volatile long limit;         // how many records may have been sent
    static volatile long sent;          // how many were

    public GatedSource() { super(0, Long.MAX_VALUE - 1); }

    static void reset(long from) { sent = from; limit = from; }

    /** Chained behind the source: counts on the same thread that polls it. */
    public static final class Count implements MapFunction<Long, Long> {
        @Override public Long map(Long v) { sent = v + 1; return v; }
    }

    @Override
    public SourceReader<Long, NumberSequenceSplit> createReader(SourceReaderContext c) {
        SourceReader<Long, NumberSequenceSplit> r = super.createReader(c);
        return new SourceReader<Long, NumberSequenceSplit>() {
            @Override public void start() { r.start(); }
            @Override public InputStatus pollNext(ReaderOutput<Long> out) throws Exception {
                if (sent >= limit) { Thread.sleep(1); return InputStatus.MORE_AVAILABLE; }
                return r.pollNext(out);
            }
            @Override public List<NumberSequenceSplit> snapshotState(long id) { return r.snapshotState(id); }
            @Override public CompletableFuture<Void> isAvailable() {
                return sent >= limit ? CompletableFuture.completedFuture(null) : r.isAvailable();
            }
            @Override public void addSplits(List<NumberSequenceSplit> s) { r.addSplits(s); }
            @Override public void notifyNoMoreSplits() { r.notifyNoMoreSplits(); }
            @Override public void close() throws Exception { r.close(); }
        };
    }
}
