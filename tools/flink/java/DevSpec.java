import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.util.Objects;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;

/** The state of golden snapshots: every kind of state and most of Flink's built-in types. */
public final class DevSpec extends Spec {

    public enum Level { BRONZE, SILVER, GOLD }

    /** A POJO in Flink's sense: public class, public no-argument constructor, public fields. */
    public static class Address {
        public String street;
        public int number;
        public Long zip;        // may be null
        public Level level;
        public double weight;
        public Address() {}
        public Address(String street, int number, Long zip, Level level, double weight) {
            this.street = street; this.number = number; this.zip = zip; this.level = level; this.weight = weight;
        }
    }

    /** Not a POJO (no such constructor), so that Flink falls back to Kryo. */
    public static final class Opaque {
        private final String text;
        private final int number;
        private Opaque() { this(null, 0); }
        public Opaque(String text, int number) { this.text = text; this.number = number; }
        @Override public boolean equals(Object o) { return o instanceof Opaque && ((Opaque) o).text.equals(text); }
        @Override public int hashCode() { return Objects.hash(text); }
    }

    static byte[] bytes(long i) {
        byte[] b = new byte[(int) (i % 17)];
        for (int j = 0; j < b.length; j++) b[j] = (byte) (i + 31 * j);
        return b;
    }

    public DevSpec() {
        Level[] levels = Level.values();
        Keyed users = new Keyed("users", Types.STRING, k -> String.format("user-%05d", k))
                .with(value("long", Types.LONG, i -> i * 1_000_003L - 5_000_000L))
                .with(value("string", Types.STRING, i -> "text " + i))
                .with(value("int", Types.INT, i -> (int) (i * 31 - 1000)))
                .with(value("double", Types.DOUBLE, i -> i * 0.25 - 10))
                .with(value("boolean", Types.BOOLEAN, i -> i % 3 == 0))
                .with(value("bytes", PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO, DevSpec::bytes))
                .with(value("short", Types.SHORT, i -> (short) (i - 300)))
                .with(value("byte", Types.BYTE, i -> (byte) i))
                .with(value("float", Types.FLOAT, i -> i * 0.5f))
                .with(value("char", Types.CHAR, i -> (char) ('a' + i % 26)))
                .with(value("pojo", Types.POJO(Address.class), i -> new Address(
                        i % 5 == 0 ? null : "street " + i % 100, (int) (i % 90), i % 4 == 0 ? null : 10000 + i,
                        levels[(int) (i % 3)], i * 0.125)))
                .with(value("tuple", Types.TUPLE(Types.STRING, Types.INT), i -> Tuple2.of("t" + i % 10, (int) i)))
                .with(value("enum", Types.ENUM(Level.class), i -> levels[(int) (i % 3)]))
                .with(value("decimal", Types.BIG_DEC, i -> BigDecimal.valueOf(i * 12345 - 700000, (int) (i % 5))))
                .with(value("bigint", Types.BIG_INT,
                        i -> BigInteger.valueOf(i).multiply(BigInteger.TEN.pow(20)).negate()))
                .with(value("date", Types.LOCAL_DATE, i -> LocalDate.of(2020, 1, 1).plusDays(i)))
                .with(value("time", Types.LOCAL_TIME, i -> LocalTime.of(0, 0).plusSeconds(i).plusNanos(i)))
                .with(value("datetime", Types.LOCAL_DATE_TIME, i -> LocalDateTime.of(2020, 1, 1, 0, 0).plusMinutes(i)))
                .with(value("instant", Types.INSTANT, i -> Instant.ofEpochSecond(1_600_000_000L + i, i)))
                .with(value("generic", Types.GENERIC(Opaque.class), i -> new Opaque("opaque " + i, (int) i)))
                .with(list("list", Types.LONG, i -> i * i).clear(i -> i % 29 == 0))
                .with(map("map", Types.STRING, Types.LONG, i -> "m" + i % 4, i -> -i).clear(i -> i % 13 == 5))
                .with(reducing("reducing", i -> i).skip(i -> i % 6 == 1))
                .with(aggregating("aggregating", i -> i * 2))
                .with(value("sparse", Types.LONG, i -> i).skip(i -> i % 10 != 0).clear(i -> i % 70 == 0))
                .with(value("ttl-value", Types.STRING, i -> "kept " + i).ttl())
                .with(map("ttl-map", Types.STRING, Types.INT, i -> "k" + i % 3, i -> (int) i).ttl())
                .with(list("ttl-list", Types.INT, i -> (int) i).ttl());
        users.eventTimer = i -> 4_000_000_000_000L + i % 40 * 1000;
        users.deleteEventTimer = i -> i % 10 == 3 ? 4_000_000_000_000L + i % 40 * 1000 : null;
        users.processingTimer = i -> i % 2 == 0 ? 4_102_444_800_000L + i : null;
        keyed.add(users);

        keyed.add(new Keyed("orders", Types.LONG, k -> k / 2 - 7)
                .with(value("count", Types.LONG, i -> i))
                .with(map("lines", Types.LONG, Types.STRING, i -> i % 8 - 4, i -> "line " + i))
                .with(list("tags", Types.STRING, i -> "tag" + i % 5)));

        windows.add(new Window("minutes", Types.STRING, k -> "shop-" + k % 20, 60_000, i -> i));

        operators.add(new Operator("buffer")
                .with(new OpState("pending", "list", Types.STRING, 5, (s, j) -> "pending " + s + "/" + j))
                .with(new OpState("offsets", "union", Types.TUPLE(Types.STRING, Types.LONG), 3,
                        (s, j) -> Tuple2.of("partition-" + s, (long) j * 100)))
                .with(new OpState("rules", "broadcast", Types.LONG, 4, (s, j) -> j * 10L)
                        .userKey(Types.STRING, (s, j) -> "rule-" + j)));
    }
}
