import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.typeinfo.BasicArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;

/** Types and values at the edges: nulls, long and other text, keys of every kind, states of one name. */
public final class OddSpec extends Spec {
    public enum Colour { RED, GREEN, BLUE }

    public static class Inner {
        public String a;
        public Integer b;
        public Inner() {}
        public Inner(String a, Integer b) { this.a = a; this.b = b; }
    }

    public static class Outer {
        public Inner inner;
        public Boolean flag;
        public Double number;
        public Instant at;
        public BigDecimal price;
        public byte[] raw;
        public long[] longs;
        public String[] texts;
        public Colour colour;
        public Tuple2<String, Integer> pair;
        public Outer() {}
    }

    static String text(long i) {
        switch ((int) (i % 8)) {
            case 0: return "";
            case 1: return "\u0000\u0001\u007f\u0080";
            case 2: return "grüße € 😀 \"quoted\" \\ \n\t";
            case 3: return "日本語".repeat(50);
            case 4: return "z".repeat((int) (i % 300));
            case 5: return "\u07ff\u0800\uffff";
            case 6: return ",,,,,";
            default: return "plain " + i;
        }
    }

    static Outer outer(long i) {
        Outer o = new Outer();
        if (i % 2 == 0) o.inner = new Inner(i % 4 == 0 ? null : text(i), i % 6 == 0 ? null : (int) i);
        if (i % 3 == 0) o.flag = i % 2 == 0;
        if (i % 5 != 0) o.number = i % 7 == 0 ? Double.NaN : i % 7 == 1 ? Double.POSITIVE_INFINITY : -0.0 * i;
        if (i % 3 != 1) o.at = Instant.ofEpochSecond(-i * 1000, i);
        if (i % 3 != 2) o.price = new BigDecimal(BigInteger.valueOf(i - 20).pow(9), (int) (i % 30) - 10);
        if (i % 4 != 1) o.raw = new byte[(int) (i % 5)];
        if (i % 4 != 2) o.longs = new long[] {Long.MIN_VALUE, i, Long.MAX_VALUE};
        if (i % 4 != 3) o.texts = new String[] {text(i), text(i + 1)};
        o.colour = Colour.values()[(int) (i % 3)];
        o.pair = Tuple2.of(text(i), (int) -i);
        return o;
    }

    static Map<String, Long> nullable(long i) {
        Map<String, Long> m = new HashMap<>();
        for (long j = 0; j < i % 4; j++) m.put(text(i + j), j % 2 == 0 ? null : i);
        return m;
    }

    static List<List<Integer>> nested(long i) {
        List<List<Integer>> l = new ArrayList<>();
        for (int j = 0; j < i % 3; j++) l.add(new ArrayList<>(Arrays.asList(j, 44, (int) i)));
        return l;
    }

    public OddSpec() {
        keyed.add(new Keyed("größe", Types.STRING, k -> text(k) + "/" + k)
                .with(value("state", Types.POJO(Outer.class), OddSpec::outer))
                .with(value("long text", Types.STRING, i -> i == 9 ? "ab€".repeat(7_000) : text(i)))
                .with(list("texts", Types.STRING, OddSpec::text))
                .with(list("44", Types.INT, i -> 44 + 256 * 44 + 65536 * 44))
                .with(list("pojos", Types.POJO(Inner.class), i -> new Inner(i % 2 == 0 ? null : ",", i % 3 == 0 ? null : 44)))
                .with(map("by pojo", Types.TUPLE(Types.STRING, Types.LONG), Types.POJO(Outer.class),
                        i -> Tuple2.of(text(i), i % 5), OddSpec::outer))
                .with(value("map", Types.MAP(Types.STRING, Types.LONG), OddSpec::nullable))
                .with(value("lists", Types.LIST(Types.LIST(Types.INT)), OddSpec::nested))
                .with(value("empty", Types.LONG, i -> i).skip(i -> true))
                .with(list("emptied", Types.LONG, i -> i).clear(i -> true)));
        Keyed same = new Keyed("same", Types.LONG, k -> k * 0x9E3779B97F4A7C15L)
                .with(value("state", Types.TUPLE(Types.BOOLEAN, Types.TUPLE(Types.STRING, Types.DOUBLE), Types.ENUM(Colour.class)),
                        i -> Tuple3.of(i % 2 == 0, Tuple2.of(text(i), i / 3.0), Colour.values()[(int) (i % 3)])))
                .with(list("texts", Types.TUPLE(Types.INT, Types.STRING), i -> Tuple2.of(44, text(i))).ttl())
                .with(map("ttl", Types.LONG, Types.POJO(Inner.class), i -> i % 5, i -> new Inner(null, (int) i)).ttl())
                .with(value("pojo ttl", Types.POJO(Outer.class), OddSpec::outer).ttl())
                .with(value("ints", PrimitiveArrayTypeInfo.INT_PRIMITIVE_ARRAY_TYPE_INFO, i -> new int[] {(int) i, 44}))
                .with(value("boxed", BasicArrayTypeInfo.LONG_ARRAY_TYPE_INFO, i -> new Long[] {i, -i}));
        same.eventTimer = i -> -5_000_000_000_000L + i % 40 * 1000;
        same.processingTimer = i -> i % 2 == 0 ? 4_102_444_800_000L + i : null;
        keyed.add(same);
        keyed.add(new Keyed("tuples", Types.TUPLE(Types.STRING, Types.LONG, Types.BOOLEAN), k -> Tuple3.of(text(k), k, k % 2 == 0))
                .with(value("state", Types.LOCAL_DATE_TIME, i -> LocalDateTime.of(1, 1, 1, 0, 0).plusDays(i * 3650).plusNanos(i)))
                .with(map("m", Types.BIG_DEC, Types.BIG_INT, i -> new BigDecimal(i % 4), i -> BigInteger.valueOf(-i).pow(11))));
        keyed.add(new Keyed("dates", Types.LOCAL_DATE, k -> LocalDate.of(-50, 1, 1).plusDays(k * 5000))
                .with(value("state", Types.FLOAT, i -> i % 5 == 0 ? Float.NaN : i * 1e-20f)));
        keyed.add(new Keyed("decimals", Types.BIG_DEC, k -> new BigDecimal(BigInteger.valueOf(k - 10).pow(15), (int) k))
                .with(reducing("state", i -> i)));
        keyed.add(new Keyed("bytes", Types.BYTE, k -> (byte) k)
                .with(aggregating("state", i -> i)));
        keyed.add(new Keyed("chars", Types.CHAR, k -> (char) (0x263a + k))
                .with(value("state", Types.CHAR, i -> (char) (i + 0x2580))));
        keyed.add(new Keyed("doubles", Types.DOUBLE, k -> k / 7.0 - 2)
                .with(value("state", Types.DOUBLE, i -> i * 0.1 - 1)));
        operators.add(new Operator("none"));
        operators.add(new Operator("ops")
                .with(new OpState("empty", "list", Types.LONG, 0, (s, j) -> 1L))
                .with(new OpState("pojos", "union", Types.POJO(Outer.class), 3, (s, j) -> outer(s * 10L + j)))
                .with(new OpState("maps", "list", Types.MAP(Types.STRING, Types.LONG), 3, (s, j) -> nullable(s + j)))
                .with(new OpState("rules", "broadcast", Types.POJO(Inner.class), 4, (s, j) -> new Inner(text(j), null))
                        .userKey(Types.TUPLE(Types.STRING, Types.INT), (s, j) -> Tuple2.of(text(j), j))));
    }
}
