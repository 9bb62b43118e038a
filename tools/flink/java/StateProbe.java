import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.ReduceFunction;
import org.apache.flink.api.common.state.AggregatingStateDescriptor;
import org.apache.flink.api.common.state.AppendingState;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ReducingStateDescriptor;
import org.apache.flink.api.common.state.State;
import org.apache.flink.api.common.state.StateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.base.ListSerializer;
import org.apache.flink.api.common.typeutils.base.MapSerializer;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.runtime.state.KeyedStateBackend;
import org.apache.flink.runtime.state.OperatorStateHandle;
import org.apache.flink.runtime.state.PriorityQueueSetFactory;
import org.apache.flink.runtime.state.metainfo.StateMetaInfoSnapshot;
import org.apache.flink.runtime.state.ttl.TtlValue;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.InternalTimer;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.util.CloseableIterator;

/** Hands on, once Flink has restored it, everything in its state backends. */
@SuppressWarnings({"unchecked", "rawtypes"})
public final class StateProbe extends AbstractStreamOperator<Long> implements OneInputStreamOperator<Long, Long> {
    private static final long serialVersionUID = 1;

    /** What to read of one operator. */
    static final class Plan {
        String name;
        TypeSerializer<Object> keySerializer;
        final Map<String, StateMetaInfoSnapshot> keyed = new LinkedHashMap<>(), operator = new LinkedHashMap<>();
    }

    // Static, as the cluster runs in this JVM.
    static final Map<String, Plan> PLANS = new ConcurrentHashMap<>();
    static final ConcurrentLinkedQueue<String> GOT = new ConcurrentLinkedQueue<>();
    static final AtomicLong ENTRIES = new AtomicLong(), READ_NANOS = new AtomicLong();
    static volatile CountDownLatch pending;
    static volatile boolean countOnly;

    static void reset() {
        PLANS.clear();
        GOT.clear();
    }

    static void expect(int probes) { pending = new CountDownLatch(probes); }

    private final String id;

    StateProbe(String id) { this.id = id; }

    @Override public void processElement(StreamRecord<Long> r) {}

    @Override public void open() throws Exception {
        super.open();
        long t = System.nanoTime();
        Plan plan = PLANS.get(id);
        for (StateMetaInfoSnapshot m : plan.keyed.values()) {
            if (m.getBackendStateType() == StateMetaInfoSnapshot.BackendStateType.PRIORITY_QUEUE) timers(plan, m);
            else keyed(plan, m);
        }
        for (StateMetaInfoSnapshot m : plan.operator.values()) operator(plan, m);
        READ_NANOS.accumulateAndGet(System.nanoTime() - t, Math::max);
        pending.countDown();
    }

    private void keyed(Plan plan, StateMetaInfoSnapshot m) throws Exception {
        KeyedStateBackend<Object> backend = getKeyedStateBackend();
        TypeSerializer ns = serializer(m, StateMetaInfoSnapshot.CommonSerializerKeys.NAMESPACE_SERIALIZER);
        TypeSerializer v = serializer(m, StateMetaInfoSnapshot.CommonSerializerKeys.VALUE_SERIALIZER);
        StateDescriptor.Type type = StateDescriptor.Type.valueOf(
                m.getOption(StateMetaInfoSnapshot.CommonOptionsKeys.KEYED_STATE_TYPE));
        String name = m.getName(), kind = type.name().toLowerCase();
        StateDescriptor d;
        switch (type) {
            case VALUE: d = new ValueStateDescriptor(name, v); break;
            case LIST: d = new ListStateDescriptor(name, ((ListSerializer) v).getElementSerializer()); break;
            case MAP:
                MapSerializer map = (MapSerializer) v;
                d = new MapStateDescriptor(name, map.getKeySerializer(), map.getValueSerializer());
                break;
            case REDUCING: d = new ReducingStateDescriptor(name, new Sum(), v); break;
            case AGGREGATING: d = new AggregatingStateDescriptor(name, new Same(), v); break;
            default: throw new IllegalStateException("state type " + type);
        }
        List<Tuple2<Object, Object>> at = new ArrayList<>();
        try (Stream<Tuple2<Object, Object>> s = backend.<Object>getKeysAndNamespaces(name)) { s.forEach(at::add); }
        for (Tuple2<Object, Object> kn : at) {
            backend.setCurrentKey(kn.f0);
            State state = backend.getPartitionedState(kn.f1, ns, d);
            String key = countOnly ? null : Json.of(rows(plan.keySerializer, kn.f0));
            String space = countOnly ? null : Json.of(kn.f1);
            if (type == StateDescriptor.Type.MAP) {
                for (Map.Entry<Object, Object> e : ((MapState<Object, Object>) state).entries()) {
                    emit(plan, name, kind, key, space, countOnly ? null : Json.of(e.getKey()), e.getValue());
                }
            } else {
                Object held = type == StateDescriptor.Type.VALUE ? ((ValueState) state).value()
                        : ((AppendingState) state).get();
                emit(plan, name, kind, key, space, null, rows(v, held));
            }
        }
    }

    /** SQL rows carry no types of their own; their serializer knows them. */
    private Object rows(TypeSerializer s, Object v) throws Exception {
        if (!(v instanceof RowData) || !s.getClass().getSimpleName().equals("RowDataSerializer")) return v;
        java.lang.reflect.Field f = s.getClass().getDeclaredField("types");
        f.setAccessible(true);
        LogicalType[] types = (LogicalType[]) f.get(s);
        Object[] columns = new Object[types.length];
        for (int i = 0; i < columns.length; i++) {
            columns[i] = RowData.createFieldGetter(types[i], i).getFieldOrNull((RowData) v);
            if (columns[i] instanceof StringData) columns[i] = columns[i].toString();
        }
        return columns;
    }

    private void emit(Plan plan, String state, String kind, String key, String ns, String userKey, Object v) {
        ENTRIES.incrementAndGet();
        if (countOnly) return;
        String ttl = null;
        if (v instanceof TtlValue) {
            ttl = Long.toString(((TtlValue) v).getLastAccessTimestamp());
            v = ((TtlValue) v).getUserValue();
        } else if (v instanceof Iterable && (!(v instanceof Collection) || kind.equals("list"))) {
            List<Object> values = new ArrayList<>();
            List<Long> ttls = new ArrayList<>();
            for (Object x : (Iterable<?>) v) {
                if (x instanceof TtlValue) {
                    ttls.add(((TtlValue) x).getLastAccessTimestamp());
                    x = ((TtlValue) x).getUserValue();
                }
                values.add(x);
            }
            v = values;
            if (!ttls.isEmpty()) ttl = Json.of(ttls);
        }
        GOT.add(Json.line(plan.name, state, kind, key, ns, userKey, Json.of(v), ttl));
    }

    private void timers(Plan plan, StateMetaInfoSnapshot m) throws Exception {
        TypeSerializer s = serializer(m, StateMetaInfoSnapshot.CommonSerializerKeys.VALUE_SERIALIZER);
        String kind = m.getName().startsWith("_timer_state/processing_") ? "timer-processing" : "timer-event";
        PriorityQueueSetFactory queues = (PriorityQueueSetFactory) getKeyedStateBackend();
        try (CloseableIterator<InternalTimer> it =
                (CloseableIterator<InternalTimer>) queues.create(m.getName(), s).iterator()) {
            while (it.hasNext()) {
                InternalTimer t = it.next();
                emit(plan, m.getName(), kind, Json.of(t.getKey()), Json.of(t.getNamespace()), null, t.getTimestamp());
            }
        }
    }

    private void operator(Plan plan, StateMetaInfoSnapshot m) throws Exception {
        TypeSerializer v = serializer(m, StateMetaInfoSnapshot.CommonSerializerKeys.VALUE_SERIALIZER);
        int sub = Compat.subtask(getRuntimeContext());
        if (m.getBackendStateType() == StateMetaInfoSnapshot.BackendStateType.BROADCAST) {
            TypeSerializer k = serializer(m, StateMetaInfoSnapshot.CommonSerializerKeys.KEY_SERIALIZER);
            BroadcastState<Object, Object> b =
                    getOperatorStateBackend().getBroadcastState(new MapStateDescriptor(m.getName(), k, v));
            if (sub > 0) return;                // every subtask has it all
            for (Map.Entry<Object, Object> e : b.entries()) {
                emit(plan, m.getName(), "operator-broadcast", null, null, Json.of(e.getKey()), e.getValue());
            }
            return;
        }
        boolean union = OperatorStateHandle.Mode.UNION.name().equals(
                m.getOption(StateMetaInfoSnapshot.CommonOptionsKeys.OPERATOR_STATE_DISTRIBUTION_MODE));
        ListStateDescriptor d = new ListStateDescriptor(m.getName(), v);
        Iterable<?> it = (Iterable<?>) (union ? getOperatorStateBackend().getUnionListState(d)
                : getOperatorStateBackend().getListState(d)).get();
        if (union && sub > 0) return;           // likewise
        for (Object x : it) emit(plan, m.getName(), union ? "operator-union" : "operator-list", null, null, null, x);
    }

    private static TypeSerializer serializer(StateMetaInfoSnapshot m, StateMetaInfoSnapshot.CommonSerializerKeys k) {
        return m.getTypeSerializerSnapshot(k).restoreSerializer();
    }

    private static final class Sum implements ReduceFunction<Object> {
        @Override public Object reduce(Object a, Object b) { throw new UnsupportedOperationException(); }
    }

    private static final class Same implements AggregateFunction<Object, Object, Object> {
        @Override public Object createAccumulator() { throw new UnsupportedOperationException(); }
        @Override public Object add(Object v, Object acc) { throw new UnsupportedOperationException(); }
        @Override public Object getResult(Object acc) { return acc; }
        @Override public Object merge(Object a, Object b) { throw new UnsupportedOperationException(); }
    }
}
