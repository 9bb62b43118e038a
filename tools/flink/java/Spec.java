import java.util.ArrayList;
import java.util.List;
import java.util.function.LongFunction;
import java.util.function.LongPredicate;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;

/**
 * What a test job holds, as formulas of the record number i (0, 1, 2, ...). The job (SpecJob) and the
 * prediction of its state (Expected) both read this and nothing else. A subclass has a no-argument
 * constructor, so that operators can build it again from its class name.
 */
public abstract class Spec {
    public enum Kind { VALUE, LIST, MAP, REDUCING, AGGREGATING }

    /** One keyed state. */
    public static final class State {
        public final String name;
        public final Kind kind;
        public final TypeInformation<?> type;       // of the value, the element or the map's value
        public TypeInformation<?> userKeyType;      // MAP only
        public LongFunction<?> value;               // record -> value, element, or number to add
        public LongFunction<?> userKey;             // MAP only
        public LongPredicate skip = i -> false;     // record does not touch this state
        public LongPredicate clear = i -> false;    // record clears it (MAP: removes the user key)
        public boolean ttl;

        State(String name, Kind kind, TypeInformation<?> type, LongFunction<?> value) {
            this.name = name; this.kind = kind; this.type = type; this.value = value;
        }
        public State skip(LongPredicate p) { skip = p; return this; }
        public State clear(LongPredicate p) { clear = p; return this; }
        public State ttl() { ttl = true; return this; }
    }

    public static <T> State value(String name, TypeInformation<T> type, LongFunction<T> f) {
        return new State(name, Kind.VALUE, type, f);
    }
    public static <T> State list(String name, TypeInformation<T> element, LongFunction<T> f) {
        return new State(name, Kind.LIST, element, f);
    }
    public static <U, T> State map(String name, TypeInformation<U> userKey, TypeInformation<T> value,
            LongFunction<U> u, LongFunction<T> f) {
        State s = new State(name, Kind.MAP, value, f);
        s.userKeyType = userKey;
        s.userKey = u;
        return s;
    }
    /** Sum of longs. */
    public static State reducing(String name, LongFunction<Long> f) {
        return new State(name, Kind.REDUCING, Types.LONG, f);
    }
    /** Accumulator Tuple2(count, sum) of longs. */
    public static State aggregating(String name, LongFunction<Long> f) {
        return new State(name, Kind.AGGREGATING, Types.TUPLE(Types.LONG, Types.LONG), f);
    }

    /** A keyed process function. */
    public static final class Keyed {
        public final String uid;
        public final TypeInformation<Object> keyType;
        public final LongFunction<Object> key;      // key index -> key
        public final List<State> states = new ArrayList<>();
        public LongFunction<Long> eventTimer = i -> null, processingTimer = i -> null;
        public LongFunction<Long> deleteEventTimer = i -> null;

        @SuppressWarnings("unchecked")
        public Keyed(String uid, TypeInformation<?> keyType, LongFunction<Object> key) {
            this.uid = uid; this.keyType = (TypeInformation<Object>) keyType; this.key = key;
        }
        public Keyed with(State s) { states.add(s); return this; }
    }

    /** A tumbling event-time window that sums longs; it never fires. */
    public static final class Window {
        public final String uid;
        public final TypeInformation<Object> keyType;
        public final LongFunction<Object> key;
        public final long sizeMs;
        public final LongFunction<Long> value;

        @SuppressWarnings("unchecked")
        public Window(String uid, TypeInformation<?> keyType, LongFunction<Object> key, long sizeMs,
                LongFunction<Long> value) {
            this.uid = uid; this.keyType = (TypeInformation<Object>) keyType; this.key = key;
            this.sizeMs = sizeMs; this.value = value;
        }
    }

    public interface Element { Object at(int subtask, int j); }

    /** One operator state: elements (or entries) 0 .. count-1 of each subtask. */
    public static final class OpState {
        public final String name, mode;             // mode: list, union or broadcast
        public final TypeInformation<?> type;
        public TypeInformation<?> userKeyType;
        public final int count;
        public final Element element;
        public Element userKey;

        public OpState(String name, String mode, TypeInformation<?> type, int count, Element e) {
            this.name = name; this.mode = mode; this.type = type; this.count = count; this.element = e;
        }
        public OpState userKey(TypeInformation<?> t, Element e) { userKeyType = t; userKey = e; return this; }
    }

    public static final class Operator {
        public final String uid;
        public final List<OpState> states = new ArrayList<>();
        public Operator(String uid) { this.uid = uid; }
        public Operator with(OpState s) { states.add(s); return this; }
    }

    public final List<Keyed> keyed = new ArrayList<>();
    public final List<Window> windows = new ArrayList<>();
    public final List<Operator> operators = new ArrayList<>();
    public String sourceUid = "numbers";

    /** Event time of record i, and the time that TTL states see while record i is processed. */
    public long timestamp(long i) { return 1_700_000_000_000L + i * 1000; }
    public long ttlTime(long i) { return 1_710_000_000_000L + i * 10; }

    /** Record i < keys is the first of key i; later records visit every 7th key. */
    public long keyIndex(long i, long keys) { return i < keys ? i : (i - keys) * 7 % keys; }

    /** Records of which a savepoint is taken: all keys, and some of them again. */
    public long records(long keys) { return 2 * keys; }

    public static Spec load(String className) {
        try {
            return (Spec) Class.forName(className).getDeclaredConstructor().newInstance();
        } catch (ReflectiveOperationException e) {
            throw new IllegalArgumentException("no such spec: " + className, e);
        }
    }
}
