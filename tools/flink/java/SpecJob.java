import java.lang.reflect.Field;
import org.apache.flink.api.common.eventtime.SerializableTimestampAssigner;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.ReduceFunction;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.state.AggregatingState;
import org.apache.flink.api.common.state.AggregatingStateDescriptor;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.KeyedStateStore;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ReducingState;
import org.apache.flink.api.common.state.ReducingStateDescriptor;
import org.apache.flink.api.common.state.StateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.typeutils.ResultTypeQueryable;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.runtime.state.ttl.TtlTimeProvider;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** The streaming job that a Spec describes: one source and, on it, every keyed, windowed and operator state. */
@SuppressWarnings({"unchecked", "rawtypes"})
public final class SpecJob {
    private SpecJob() {}

    static void build(StreamExecutionEnvironment env, Spec spec, long keys, int parallelism, int maxParallelism) {
        env.setParallelism(parallelism);
        if (maxParallelism > 0) env.setMaxParallelism(maxParallelism);
        DataStream<Long> in = env
                .fromSource(new GatedSource(), WatermarkStrategy.<Long>noWatermarks(), spec.sourceUid)
                .uid(spec.sourceUid).setParallelism(1)
                .map(new GatedSource.Count()).uid(spec.sourceUid + "-count").setParallelism(1)
                .assignTimestampsAndWatermarks(WatermarkStrategy.<Long>noWatermarks()
                        .withTimestampAssigner(new Stamp(spec))).uid(spec.sourceUid + "-time").setParallelism(1);
        for (int n = 0; n < spec.keyed.size(); n++) {
            in.keyBy(new Key(spec, keys, n, false)).process(new Process(spec, n)).uid(spec.keyed.get(n).uid)
                    .returns(Types.LONG);
        }
        for (int n = 0; n < spec.windows.size(); n++) {
            Spec.Window w = spec.windows.get(n);
            Value value = new Value(spec, n);
            in.map(i -> Tuple2.of(i, value.of(i))).returns(Types.TUPLE(Types.LONG, Types.LONG)).setParallelism(1)
                    .keyBy(new Key(spec, keys, n, true).first())
                    .window(Compat.tumbling(w.sizeMs))
                    .reduce((a, b) -> Tuple2.of(Math.max(a.f0, b.f0), a.f1 + b.f1)).uid(w.uid);
        }
        for (int n = 0; n < spec.operators.size(); n++) {
            in.rebalance().map(new Operator(spec, n)).uid(spec.operators.get(n).uid).returns(Types.LONG);
        }
    }

    private static final class Stamp implements SerializableTimestampAssigner<Long> {
        final String spec;
        transient Spec s;
        Stamp(Spec spec) { this.spec = spec.getClass().getName(); }
        @Override public long extractTimestamp(Long i, long t) {
            if (s == null) s = Spec.load(spec);
            return s.timestamp(i);
        }
    }

    private static final class Value implements java.io.Serializable {
        final String spec;
        final int n;
        transient Spec s;
        Value(Spec spec, int n) { this.spec = spec.getClass().getName(); this.n = n; }
        long of(long i) {
            if (s == null) s = Spec.load(spec);
            return s.windows.get(n).value.apply(i);
        }
    }

    private static final class Key implements KeySelector<Long, Object>, ResultTypeQueryable<Object> {
        final String spec;
        final long keys;
        final int n;
        final boolean window;
        transient Spec s;
        Key(Spec spec, long keys, int n, boolean window) {
            this.spec = spec.getClass().getName(); this.keys = keys; this.n = n; this.window = window;
        }
        Spec s() { return s == null ? s = Spec.load(spec) : s; }
        @Override public Object getKey(Long i) {
            long k = s().keyIndex(i, keys);
            return window ? s.windows.get(n).key.apply(k) : s.keyed.get(n).key.apply(k);
        }
        @Override public TypeInformation<Object> getProducedType() {
            return window ? s().windows.get(n).keyType : s().keyed.get(n).keyType;
        }
        First first() { return new First(this); }
    }

    private static final class First implements KeySelector<Tuple2<Long, Long>, Object>, ResultTypeQueryable<Object> {
        final Key key;
        First(Key key) { this.key = key; }
        @Override public Object getKey(Tuple2<Long, Long> v) { return key.getKey(v.f0); }
        @Override public TypeInformation<Object> getProducedType() { return key.getProducedType(); }
    }

    public static final class Sum implements ReduceFunction<Long> {
        @Override public Long reduce(Long a, Long b) { return a + b; }
    }

    public static final class CountAndSum implements AggregateFunction<Long, Tuple2<Long, Long>, Double> {
        @Override public Tuple2<Long, Long> createAccumulator() { return Tuple2.of(0L, 0L); }
        @Override public Tuple2<Long, Long> add(Long v, Tuple2<Long, Long> a) {
            return Tuple2.of(a.f0 + 1, a.f1 + v);
        }
        @Override public Double getResult(Tuple2<Long, Long> a) { return (double) a.f1 / a.f0; }
        @Override public Tuple2<Long, Long> merge(Tuple2<Long, Long> a, Tuple2<Long, Long> b) {
            return Tuple2.of(a.f0 + b.f0, a.f1 + b.f1);
        }
    }

    private static final class Process extends KeyedProcessFunction<Object, Long, Long>
            implements CheckpointedFunction {
        final String specName;
        final int n;
        transient Spec spec;
        transient Spec.Keyed op;
        transient Object[] states;
        transient long now;

        Process(Spec spec, int n) { specName = spec.getClass().getName(); this.n = n; }

        @Override public void initializeState(FunctionInitializationContext c) throws Exception {
            spec = Spec.load(specName);
            op = spec.keyed.get(n);
            KeyedStateStore store = c.getKeyedStateStore();
            states = new Object[op.states.size()];
            for (int j = 0; j < states.length; j++) {
                Spec.State s = op.states.get(j);
                switch (s.kind) {
                    case VALUE: states[j] = store.getState(ttl(s, new ValueStateDescriptor(s.name, s.type))); break;
                    case LIST: states[j] = store.getListState(ttl(s, new ListStateDescriptor(s.name, s.type))); break;
                    case MAP:
                        states[j] = store.getMapState(ttl(s, new MapStateDescriptor(s.name, s.userKeyType, s.type)));
                        break;
                    case REDUCING:
                        states[j] = store.getReducingState(new ReducingStateDescriptor(s.name, new Sum(), s.type));
                        break;
                    default:
                        states[j] = store.getAggregatingState(
                                new AggregatingStateDescriptor(s.name, new CountAndSum(), s.type));
                }
                if (s.ttl) fixClock(states[j], 0);
            }
        }

        private <D extends StateDescriptor<?, ?>> D ttl(Spec.State s, D d) {
            if (s.ttl) d.enableTimeToLive(Compat.ttl());
            return d;
        }

        /** Gives a TTL state the clock of the spec, so that its time stamps can be predicted. */
        private void fixClock(Object o, int depth) throws Exception {
            for (Class<?> c = o.getClass(); c != null && c != Object.class; c = c.getSuperclass()) {
                for (Field f : c.getDeclaredFields()) {
                    if (f.getType() == TtlTimeProvider.class) {
                        f.setAccessible(true);
                        f.set(o, (TtlTimeProvider) () -> now);
                        return;
                    }
                    if (depth < 2 && f.getName().equals("originalState")) {
                        f.setAccessible(true);
                        fixClock(f.get(o), depth + 1);
                        return;
                    }
                }
            }
            throw new IllegalStateException("no TTL clock in " + o.getClass());
        }

        @Override public void processElement(Long i, Context ctx, Collector<Long> out) throws Exception {
            now = spec.ttlTime(i);
            for (int j = 0; j < states.length; j++) {
                Spec.State s = op.states.get(j);
                if (s.skip.test(i)) continue;
                boolean clear = s.clear.test(i);
                switch (s.kind) {
                    case VALUE:
                        if (clear) ((ValueState) states[j]).clear();
                        else ((ValueState) states[j]).update(s.value.apply(i));
                        break;
                    case LIST:
                        if (clear) ((ListState) states[j]).clear(); else ((ListState) states[j]).add(s.value.apply(i));
                        break;
                    case MAP:
                        if (clear) ((MapState) states[j]).remove(s.userKey.apply(i));
                        else ((MapState) states[j]).put(s.userKey.apply(i), s.value.apply(i));
                        break;
                    case REDUCING:
                        if (clear) ((ReducingState) states[j]).clear();
                        else ((ReducingState) states[j]).add(s.value.apply(i));
                        break;
                    default:
                        if (clear) ((AggregatingState) states[j]).clear();
                        else ((AggregatingState) states[j]).add(s.value.apply(i));
                }
            }
            Long e = op.eventTimer.apply(i), d = op.deleteEventTimer.apply(i);
            Long p = op.processingTimer.apply(i);
            if (e != null) ctx.timerService().registerEventTimeTimer(e);
            if (d != null) ctx.timerService().deleteEventTimeTimer(d);
            if (p != null) ctx.timerService().registerProcessingTimeTimer(p);
        }

        @Override public void snapshotState(FunctionSnapshotContext c) {}
    }

    private static final class Operator extends RichMapFunction<Long, Long> implements CheckpointedFunction {
        final String specName;
        final int n;
        Operator(Spec spec, int n) { specName = spec.getClass().getName(); this.n = n; }

        @Override public Long map(Long i) { return i; }

        @Override public void initializeState(FunctionInitializationContext c) throws Exception {
            int sub = Compat.subtask(getRuntimeContext());
            for (Spec.OpState s : Spec.load(specName).operators.get(n).states) {
                if (s.mode.equals("broadcast")) {
                    BroadcastState b = c.getOperatorStateStore().getBroadcastState(
                            new MapStateDescriptor(s.name, s.userKeyType, s.type));
                    for (int j = 0; j < s.count && !c.isRestored(); j++) {
                        b.put(s.userKey.at(sub, j), s.element.at(sub, j));
                    }
                    continue;
                }
                ListStateDescriptor d = new ListStateDescriptor(s.name, s.type);
                boolean union = s.mode.equals("union");
                ListState l = union ? c.getOperatorStateStore().getUnionListState(d)
                        : c.getOperatorStateStore().getListState(d);
                for (int j = 0; j < s.count && !c.isRestored(); j++) l.add(s.element.at(sub, j));
                // Every subtask is given the whole union; only one may keep it, or it would multiply.
                if (union && c.isRestored() && sub > 0) l.clear();
            }
        }

        @Override public void snapshotState(FunctionSnapshotContext c) {}
    }
}
