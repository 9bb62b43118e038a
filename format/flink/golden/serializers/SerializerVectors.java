import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.api.common.ExecutionConfig;
import org.apache.flink.api.common.typeinfo.BasicArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.ListSerializer;
import org.apache.flink.api.common.typeutils.base.LongSerializer;
import org.apache.flink.api.common.typeutils.base.MapSerializer;
import org.apache.flink.api.common.typeutils.base.StringSerializer;
import org.apache.flink.api.common.typeutils.base.VoidSerializer;
import org.apache.flink.api.java.tuple.Tuple0;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.typeutils.EitherTypeInfo;
import org.apache.flink.api.java.typeutils.TypeExtractor;
import org.apache.flink.api.java.typeutils.ValueTypeInfo;
import org.apache.flink.api.java.typeutils.runtime.NullableSerializer;
import org.apache.flink.api.java.typeutils.runtime.RowSerializer;
import org.apache.flink.api.java.typeutils.runtime.TupleSerializer;
import org.apache.flink.core.memory.DataOutputViewStreamWrapper;
import org.apache.flink.runtime.state.VoidNamespace;
import org.apache.flink.runtime.state.VoidNamespaceSerializer;
import org.apache.flink.runtime.state.ttl.TtlValue;
import org.apache.flink.streaming.api.operators.TimerHeapInternalTimer;
import org.apache.flink.streaming.api.operators.TimerSerializer;
import org.apache.flink.streaming.api.windowing.windows.GlobalWindow;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.RawValueData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.data.binary.BinaryRowData;
import org.apache.flink.table.runtime.typeutils.ArrayDataSerializer;
import org.apache.flink.table.runtime.typeutils.DecimalDataSerializer;
import org.apache.flink.table.runtime.typeutils.LinkedListSerializer;
import org.apache.flink.table.runtime.typeutils.MapDataSerializer;
import org.apache.flink.table.runtime.typeutils.RawValueDataSerializer;
import org.apache.flink.table.runtime.typeutils.RowDataSerializer;
import org.apache.flink.table.runtime.typeutils.SortedMapSerializer;
import org.apache.flink.table.runtime.typeutils.StringDataSerializer;
import org.apache.flink.table.runtime.typeutils.TimestampDataSerializer;
import org.apache.flink.table.runtime.typeutils.WindowKeySerializer;
import org.apache.flink.table.runtime.util.WindowKey;
import org.apache.flink.table.types.logical.*;
import org.apache.flink.types.DoubleValue;
import org.apache.flink.types.Either;
import org.apache.flink.types.IntValue;
import org.apache.flink.types.LongValue;
import org.apache.flink.types.Row;
import org.apache.flink.types.RowKind;
import org.apache.flink.types.StringValue;

/**
 * What Flink's own serializers write: one line for each value,
 *
 *   name, getLength(), snapshot in hex or = for the one before, value in hex, hashCode() or -, JSON
 *
 * separated by tabs. Compiled beside Json.java of the programs that make the snapshots; --out FILE.
 */
@SuppressWarnings({"unchecked", "rawtypes"})
public final class SerializerVectors {
    public enum Level { BRONZE, SILVER, GOLD }

    public static class Street {
        public String name;
        public int number;
        public Street() {}
        Street(String name, int number) { this.name = name; this.number = number; }
    }

    public static class Person {
        public String name;
        public Integer age;
        public Long[] scores;
        public Street street;
        public List<String> tags;
        public Map<String, Long> counts;
        public byte[] bytes;
        public Level level;
        public BigDecimal balance;
        public LocalDate born;
        public boolean active;
        public Tuple2<String, Integer> pair;
        private char initial;
        public char getInitial() { return initial; }
        public void setInitial(char c) { initial = c; }
        public Person() {}
    }

    public static class Shape { public int id; public Shape() {} }
    public static class Circle extends Shape { public double radius; public Circle() {} }
    public static class Square extends Shape { public long side; public String label; public Square() {} }
    public static class Blob extends Shape { public String text; public Blob() {} }

    public static final class Opaque {
        final String text;
        Opaque(String text) { this.text = text; }
    }

    private static PrintStream out;
    private static String last;

    static String hex(byte[] bytes) {
        StringBuilder b = new StringBuilder();
        for (byte x : bytes) b.append(String.format("%02x", x));
        return b.toString();
    }

    interface Writer { void to(DataOutputViewStreamWrapper o) throws Exception; }

    static String bytes(Writer w) throws Exception {
        ByteArrayOutputStream b = new ByteArrayOutputStream();
        DataOutputViewStreamWrapper o = new DataOutputViewStreamWrapper(b);
        w.to(o);
        o.flush();
        return hex(b.toByteArray());
    }

    static <T> void line(String name, TypeSerializer<T> s, T v, String json) throws Exception {
        String value = bytes(o -> s.serialize(v, o));
        // After the value: a POJO's serializer learns subclasses as it meets them.
        TypeSerializerSnapshot<T> snapshot = s.snapshotConfiguration();
        String hash = v == null || v instanceof RowData && !(v instanceof BinaryRowData) ? "-" : Integer.toString(v.hashCode());
        String written = bytes(o -> TypeSerializerSnapshot.writeVersionedSnapshot(o, snapshot));
        out.print(name + "\t" + s.getLength() + "\t" + (written.equals(last) ? "=" : written) + "\t" + value + "\t" + hash + "\t" + json + "\n");
        last = written;
    }

    static <T> void all(String name, TypeSerializer<T> s, T... values) throws Exception {
        for (T v : values) line(name, s, v, Json.of(v));
    }

    static <T> void all(String name, TypeInformation<T> t, T... values) throws Exception {
        all(name, serializer(t), values);
    }

    /** The argument of createSerializer differs between Flink 1 and 2. */
    static <T> TypeSerializer<T> serializer(TypeInformation<T> t) throws Exception {
        ExecutionConfig c = new ExecutionConfig();
        Object config;
        try {
            config = c.getClass().getMethod("getSerializerConfig").invoke(c);
            config.getClass().getMethod("registerPojoType", Class.class).invoke(config, Circle.class);
            config.getClass().getMethod("registerPojoType", Class.class).invoke(config, Square.class);
            return (TypeSerializer<T>) TypeInformation.class.getMethod("createSerializer",
                    Class.forName("org.apache.flink.api.common.serialization.SerializerConfig")).invoke(t, config);
        } catch (NoSuchMethodException e) {
            throw new IllegalStateException(e);
        }
    }

    static TypeSerializer make(String type, Object... args) throws Exception {
        for (java.lang.reflect.Constructor<?> c : Class.forName(type).getDeclaredConstructors()) {
            if (c.getParameterCount() != args.length) continue;
            c.setAccessible(true);
            try {
                return (TypeSerializer) c.newInstance(args);
            } catch (IllegalArgumentException e) {
                // another one
            }
        }
        throw new IllegalStateException(type);
    }

    public static void main(String[] argv) throws Exception {
        out = new PrintStream(Files.newOutputStream(Paths.get(new Args(argv).need("out"))), false, "UTF-8");
        basic();
        time();
        composite();
        pojos();
        sql();
        out.close();
        System.exit(0);
    }

    static void basic() throws Exception {
        all("string", Types.STRING, "", "abc", "é€😀", "quote\" back\\ nl\n\u0001\u0000", null);
        all("long", Types.LONG, 0L, -1L, Long.MIN_VALUE, Long.MAX_VALUE, 1L << 33);
        all("int", Types.INT, 0, -1, Integer.MIN_VALUE, Integer.MAX_VALUE);
        all("short", Types.SHORT, (short) 0, Short.MIN_VALUE, Short.MAX_VALUE);
        all("byte", Types.BYTE, (byte) 0, Byte.MIN_VALUE, Byte.MAX_VALUE);
        all("boolean", Types.BOOLEAN, true, false);
        all("char", Types.CHAR, 'a', '€', '"', '\u0000');
        all("float", Types.FLOAT, 0f, -0f, 1.5f, 0.1f, 1e10f, 1e-5f, 3.4028235e38f, Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY);
        all("double", Types.DOUBLE, 0d, -0d, 1.5, 0.1, 0.001, 0.00099, 9999999.0, 1e7, 12345678.9, 1e100, -1e-100, 1.0 / 3,
                Double.MAX_VALUE, Double.MIN_VALUE, Double.NaN, Double.NEGATIVE_INFINITY, (double) Long.MAX_VALUE);
        line("void", VoidSerializer.INSTANCE, null, "null");
        all("bigint", Types.BIG_INT, BigInteger.ZERO, BigInteger.ONE, BigInteger.TEN, BigInteger.ONE.negate(), BigInteger.valueOf(128),
                BigInteger.valueOf(Long.MIN_VALUE), BigInteger.ONE.shiftLeft(200).negate(), BigInteger.TEN.pow(40).add(BigInteger.ONE), null);
        all("bigdec", Types.BIG_DEC, BigDecimal.ZERO, new BigDecimal("0.000"), new BigDecimal("12.34"), new BigDecimal("-1E+3"),
                new BigDecimal("1E-7"), new BigDecimal("0.000001"), new BigDecimal("-123456789012345678901234567890.5"), new BigDecimal("0E-10"),
                new BigDecimal("1.10"), BigDecimal.valueOf(Long.MIN_VALUE, 3), null);
        all("boolean[]", PrimitiveArrayTypeInfo.BOOLEAN_PRIMITIVE_ARRAY_TYPE_INFO, new boolean[] {}, new boolean[] {true, false});
        all("byte[]", PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO, new byte[] {}, new byte[] {0, -1, 127});
        all("short[]", PrimitiveArrayTypeInfo.SHORT_PRIMITIVE_ARRAY_TYPE_INFO, new short[] {1, -2});
        all("int[]", PrimitiveArrayTypeInfo.INT_PRIMITIVE_ARRAY_TYPE_INFO, new int[] {1, -2});
        all("long[]", PrimitiveArrayTypeInfo.LONG_PRIMITIVE_ARRAY_TYPE_INFO, new long[] {1, -2});
        all("char[]", PrimitiveArrayTypeInfo.CHAR_PRIMITIVE_ARRAY_TYPE_INFO, new char[] {'a', 'é'});
        all("float[]", PrimitiveArrayTypeInfo.FLOAT_PRIMITIVE_ARRAY_TYPE_INFO, new float[] {1.25f, Float.NaN});
        all("double[]", PrimitiveArrayTypeInfo.DOUBLE_PRIMITIVE_ARRAY_TYPE_INFO, new double[] {1.25, 1e300});
        line("string[]", (TypeSerializer) serializer(BasicArrayTypeInfo.STRING_ARRAY_TYPE_INFO), new String[] {"a", null, ""}, "[\"a\",null,\"\"]");
        line("Integer[]", (TypeSerializer) serializer(BasicArrayTypeInfo.INT_ARRAY_TYPE_INFO), new Integer[] {1, null}, "[1,null]");
        all("IntValue", serializer((TypeInformation<IntValue>) (TypeInformation) ValueTypeInfo.INT_VALUE_TYPE_INFO), new IntValue(7));
        all("LongValue", serializer((TypeInformation<LongValue>) (TypeInformation) ValueTypeInfo.LONG_VALUE_TYPE_INFO), new LongValue(-7));
        all("DoubleValue", serializer((TypeInformation<DoubleValue>) (TypeInformation) ValueTypeInfo.DOUBLE_VALUE_TYPE_INFO), new DoubleValue(0.5));
        all("StringValue", serializer((TypeInformation<StringValue>) (TypeInformation) ValueTypeInfo.STRING_VALUE_TYPE_INFO), new StringValue("text é"));
        all("NullValue", make("org.apache.flink.api.common.typeutils.base.NullValueSerializer"), org.apache.flink.types.NullValue.getInstance());
        all("VoidNamespace", VoidNamespaceSerializer.INSTANCE, VoidNamespace.INSTANCE);
        all("TimeWindow", new TimeWindow.Serializer(), new TimeWindow(-5, Long.MAX_VALUE));
        all("GlobalWindow", new GlobalWindow.Serializer(), GlobalWindow.get());
        all("enum", Types.ENUM(Level.class), Level.values());
    }

    static void time() throws Exception {
        all("LocalDate", Types.LOCAL_DATE, LocalDate.of(2024, 2, 29), LocalDate.MIN, LocalDate.MAX, LocalDate.of(0, 1, 1), LocalDate.of(-44, 3, 15),
                LocalDate.of(10000, 12, 31), null);
        all("LocalTime", Types.LOCAL_TIME, LocalTime.MIN, LocalTime.MAX, LocalTime.of(1, 2), LocalTime.of(1, 2, 3), LocalTime.of(1, 2, 3, 4_000_000),
                LocalTime.of(1, 2, 3, 4_000), LocalTime.of(0, 0, 0, 1), null);
        all("LocalDateTime", Types.LOCAL_DATE_TIME, LocalDateTime.of(2020, 1, 1, 0, 0), LocalDateTime.MIN, LocalDateTime.MAX,
                LocalDateTime.of(1969, 12, 31, 23, 59, 59, 999_000_000), null);
        all("Instant", Types.INSTANT, Instant.EPOCH, Instant.MIN, Instant.MAX, Instant.ofEpochSecond(-1, 999_999_999), Instant.ofEpochSecond(1_600_000_000, 60),
                Instant.parse("+12345-06-07T08:09:10Z"), Instant.parse("-0001-06-07T08:09:10.5Z"), Instant.parse("-12345-06-07T08:09:00.000005Z"), null);
        all("Date", serializer((TypeInformation<java.util.Date>) (TypeInformation) TypeInformation.of(java.util.Date.class)),
                new java.util.Date(0), new java.util.Date(-1), new java.util.Date(1_600_000_000_123L), null);
        all("SqlDate", Types.SQL_DATE, new java.sql.Date(0), new java.sql.Date(1_600_000_000_000L), null);
        all("SqlTime", Types.SQL_TIME, new java.sql.Time(0), new java.sql.Time(86_399_000L), null);
        java.sql.Timestamp early = new java.sql.Timestamp(-1);
        java.sql.Timestamp nanos = new java.sql.Timestamp(1_600_000_000_123L);
        nanos.setNanos(123_456_789);
        all("SqlTimestamp", Types.SQL_TIMESTAMP, new java.sql.Timestamp(0), early, nanos, null);
    }

    static <K, V> Map<K, V> map(Object... pairs) {
        Map<K, V> m = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) m.put((K) pairs[i], (V) pairs[i + 1]);
        return m;
    }

    static void composite() throws Exception {
        all("list<string>", Types.LIST(Types.STRING), new ArrayList<>(), new ArrayList<>(Arrays.asList("a", null, ",")));
        all("list<list<long>>", Types.LIST(Types.LIST(Types.LONG)), Arrays.asList(Arrays.asList(1L, 2L), new ArrayList<>()));
        all("map<string,long>", Types.MAP(Types.STRING, Types.LONG), map(), map("k", 1L, "n", null), map("b", 1L, "a", 2L, "é", 3L, "B", 4L, "aa", 5L));
        all("map<long,map>", Types.MAP(Types.LONG, Types.MAP(Types.INT, Types.STRING)), map(10L, map(2, "x", 10, "y"), 9L, map(), -1L, null));
        all("map<null,string>", Types.MAP(Types.STRING, Types.STRING), map(null, "of null", "a", ""));
        all("map<string,void>", Types.MAP(Types.STRING, Types.VOID), map("a", null));
        all("tuple2", Types.TUPLE(Types.STRING, Types.LONG), Tuple2.of("a", 5L), Tuple2.of(null, -1L));
        all("tuple2 of fixed", Types.TUPLE(Types.INT, Types.LONG), Tuple2.of(1, 2L));
        all("tuple3 nested", Types.TUPLE(Types.TUPLE(Types.INT, Types.BOOLEAN), Types.DOUBLE, Types.LOCAL_DATE),
                Tuple3.of(Tuple2.of(1, true), 2.5, LocalDate.of(2000, 1, 1)), Tuple3.of(Tuple2.of(-1, false), -0.0, null));
        all("tuple2 with void namespace", (TypeSerializer) new TupleSerializer<>((Class<Tuple2<Integer, VoidNamespace>>) (Class<?>) Tuple2.class,
                new TypeSerializer<?>[] {serializer(Types.INT), VoidNamespaceSerializer.INSTANCE}), Tuple2.of(3, VoidNamespace.INSTANCE));
        all("tuple0", serializer((TypeInformation<Tuple0>) (TypeInformation) new org.apache.flink.api.java.typeutils.TupleTypeInfo<>(Tuple0.class)), Tuple0.INSTANCE);
        line("array of tuples", (TypeSerializer) serializer((TypeInformation) Types.OBJECT_ARRAY(Types.TUPLE(Types.STRING, Types.INT))),
                new Tuple2[] {Tuple2.of("a", 1), null}, "[[\"a\",1],null]");
        for (RowKind kind : RowKind.values()) {
            Row r = Row.ofKind(kind, "a", null, 7L, LocalTime.of(1, 2));
            line("row", serializer(Types.ROW(Types.STRING, Types.INT, Types.LONG, Types.LOCAL_TIME)), r, "[\"a\",null,7,\"01:02\"]");
        }
        line("row of 9", serializer(Types.ROW(Types.INT, Types.INT, Types.INT, Types.INT, Types.INT, Types.INT, Types.INT, Types.INT, Types.INT)),
                Row.of(1, null, 3, 4, 5, 6, null, 8, null), "[1,null,3,4,5,6,null,8,null]");
        line("row of row", serializer(Types.ROW(Types.ROW(Types.INT), Types.BOOLEAN)), Row.of(Row.of(5), true), "[[5],true]");
        line("row without kind", new RowSerializer(new TypeSerializer<?>[] {serializer(Types.INT), serializer(Types.STRING)}, null, false),
                Row.of(5, null), "[5,null]");
        all("nullable long", NullableSerializer.wrap(LongSerializer.INSTANCE, false), 5L, null);
        all("nullable long padded", NullableSerializer.wrap(LongSerializer.INSTANCE, true), 5L, null);
        line("either", serializer(new EitherTypeInfo<>(Types.STRING, Types.LONG)), Either.Left("l"), "{\"Left\":\"l\"}");
        line("either", serializer(new EitherTypeInfo<>(Types.STRING, Types.LONG)), Either.Right(5L), "{\"Right\":5}");
        line("ttl", make("org.apache.flink.runtime.state.ttl.TtlStateFactory$TtlSerializer", LongSerializer.INSTANCE, StringSerializer.INSTANCE),
                new TtlValue<>("kept", 1_700_000_000_000L), "[1700000000000,\"kept\"]");
        line("ttl of fixed", make("org.apache.flink.runtime.state.ttl.TtlStateFactory$TtlSerializer", LongSerializer.INSTANCE, LongSerializer.INSTANCE),
                new TtlValue<>(5L, -1L), "[-1,5]");
        line("timer", (TypeSerializer) new TimerSerializer<>(LongSerializer.INSTANCE, VoidNamespaceSerializer.INSTANCE),
                new TimerHeapInternalTimer<>(1000, 5L, VoidNamespace.INSTANCE), "[1000,5,null]");
        line("timer of string", (TypeSerializer) new TimerSerializer<>(StringSerializer.INSTANCE, new TimeWindow.Serializer()),
                new TimerHeapInternalTimer<>(-1, "k", new TimeWindow(0, 5)), "[-1,\"k\",{\"start\":0,\"end\":5}]");
        all("arraylist", (TypeSerializer) make("org.apache.flink.runtime.state.ArrayListSerializer", LongSerializer.INSTANCE), new ArrayList<>(Arrays.asList(1L, 2L)));
        line("kryo", (TypeSerializer) serializer(Types.GENERIC(Opaque.class)), new Opaque("x"), "opaque");
        line("kryo in a list", new ListSerializer<>((TypeSerializer) serializer(Types.GENERIC(Opaque.class))), new ArrayList<>(), "opaque");
        try {
            all("set", make("org.apache.flink.api.common.typeutils.base.SetSerializer", StringSerializer.INSTANCE),
                    new java.util.LinkedHashSet<>(Arrays.asList("b", "a", null)));
            line("sortedlong", make("org.apache.flink.table.runtime.operators.sink.SortedLongSerializer"), -5L, "-5");
            line("variant", make("org.apache.flink.api.common.typeutils.base.VariantSerializer"),
                    Class.forName("org.apache.flink.types.variant.BinaryVariant").getConstructor(byte[].class, byte[].class)
                            .newInstance(new byte[] {12, 5}, new byte[] {1, 0, 0}), "[\"0c05\",\"010000\"]");
        } catch (ClassNotFoundException e) {
            // Flink 2 has them
        }
        Class<?> entry = Class.forName("org.apache.flink.streaming.api.operators.co.IntervalJoinOperator$BufferEntry");
        java.lang.reflect.Constructor<?> c = entry.getDeclaredConstructors()[0];
        c.setAccessible(true);
        line("interval join", make("org.apache.flink.streaming.api.operators.co.IntervalJoinOperator$BufferEntrySerializer", LongSerializer.INSTANCE),
                c.newInstance(5L, true), "[true,5]");
        Class<?> union;
        try {
            union = Class.forName("org.apache.flink.util.TaggedUnion");
        } catch (ClassNotFoundException e) {
            union = Class.forName("org.apache.flink.streaming.api.datastream.CoGroupedStreams$TaggedUnion");
        }
        TypeSerializer of = make("org.apache.flink.streaming.api.datastream.CoGroupedStreams$UnionSerializer", LongSerializer.INSTANCE, StringSerializer.INSTANCE);
        line("window join", of, union.getMethod("one", Object.class).invoke(null, 5L), "{\"One\":5}");
        line("window join", of, union.getMethod("two", Object.class).invoke(null, "x"), "{\"Two\":\"x\"}");
    }

    static void pojos() throws Exception {
        Person full = new Person();
        full.name = "Zoë";
        full.age = 5;
        full.scores = new Long[] {1L, null};
        full.street = new Street("Main", 3);
        full.tags = new ArrayList<>(Arrays.asList("x", "y"));
        full.counts = map("b", 1L, "a", null);
        full.bytes = new byte[] {1, -1};
        full.level = Level.GOLD;
        full.balance = new BigDecimal("1E+2");
        full.born = LocalDate.of(1999, 9, 9);
        full.active = true;
        full.pair = Tuple2.of("p", 1);
        full.setInitial('Z');
        TypeSerializer<Person> person = serializer(TypeExtractor.createTypeInfo(Person.class));
        all("pojo", person, full, new Person(), null);
        Street noName = new Street(null, -1);
        all("pojo small", serializer(Types.POJO(Street.class)), noName);
        TypeSerializer<Shape> shape = serializer(Types.POJO(Shape.class));
        Circle circle = new Circle();
        circle.id = 1;
        circle.radius = 0.5;
        Square square = new Square();
        square.id = 2;
        square.side = 9;
        Blob blob = new Blob();
        blob.id = 3;
        blob.text = "by name";
        Shape base = new Shape();
        base.id = 4;
        all("pojo with subclasses", shape, base, circle, square, blob, null);
        all("list of pojos with subclasses", new ListSerializer<>(shape), new ArrayList<>(Arrays.asList(circle, base, blob)));
    }

    static String sqlJson(Object v, LogicalType t) {
        if (v == null) return "null";
        if (v instanceof StringData || v instanceof DecimalData || v instanceof TimestampData) return Json.str(v.toString());
        StringBuilder b = new StringBuilder("[");
        if (v instanceof RowData) {
            for (int i = 0; i < t.getChildren().size(); i++) {
                LogicalType c = t.getChildren().get(i);
                b.append(i > 0 ? "," : "").append(sqlJson(RowData.createFieldGetter(c, i).getFieldOrNull((RowData) v), c));
            }
            return b.append("]").toString();
        }
        if (v instanceof ArrayData) return elements((ArrayData) v, t.getChildren().get(0)).toString().replace(", ", ",");
        if (v instanceof MapData) {
            LogicalType k = t.getChildren().get(0), e = t instanceof MultisetType ? new IntType() : t.getChildren().get(1);
            List<String> keys = elements(((MapData) v).keyArray(), k), values = elements(((MapData) v).valueArray(), e);
            TreeMap<String, String> sorted = new TreeMap<>(Json.ORDER);
            for (int i = 0; i < keys.size(); i++) sorted.put(keys.get(i), values.get(i));
            for (Map.Entry<String, String> x : sorted.entrySet()) {
                b.append(b.length() > 1 ? "," : "").append("[").append(x.getKey()).append(",").append(x.getValue()).append("]");
            }
            return b.append("]").toString();
        }
        if (v instanceof RawValueData) return "raw";
        return Json.of(v);
    }

    static List<String> elements(ArrayData a, LogicalType t) {
        List<String> l = new ArrayList<>();
        for (int i = 0; i < a.size(); i++) l.add(sqlJson(ArrayData.createElementGetter(t).getElementOrNull(a, i), t));
        return l;
    }

    static void rows(String name, LogicalType[] types, Object[]... rows) throws Exception {
        RowDataSerializer s = new RowDataSerializer(types);
        for (Object[] fields : rows) {
            BinaryRowData r = s.toBinaryRow(GenericRowData.of(fields)).copy();
            line(name, (TypeSerializer) s, r, sqlJson(r, RowType.of(types)));
        }
    }

    static void sql() throws Exception {
        StringData longText = StringData.fromString("hello world"), text = StringData.fromString("abc");
        LogicalType[] scalars = {new BooleanType(), new TinyIntType(), new SmallIntType(), new IntType(), new BigIntType(), new FloatType(), new DoubleType(),
            new CharType(3), new VarCharType(20), new VarCharType(VarCharType.MAX_LENGTH), new BinaryType(2), new VarBinaryType(20),
            new DecimalType(10, 2), new DecimalType(20, 2), new DateType(), new TimeType(3), new TimestampType(3), new TimestampType(6),
            new LocalZonedTimestampType(3), new LocalZonedTimestampType(9), new YearMonthIntervalType(YearMonthIntervalType.YearMonthResolution.MONTH),
            new DayTimeIntervalType(DayTimeIntervalType.DayTimeResolution.DAY)};
        Object[] values = {true, (byte) -1, (short) -2, -3, -4L, 1.5f, 2.5, text, longText, StringData.fromString("é€😀"), new byte[] {1, 2}, new byte[] {1, 2, 3, 4, 5, 6, 7, 8, 9},
            DecimalData.fromBigDecimal(new BigDecimal("1.25"), 10, 2), DecimalData.fromBigDecimal(new BigDecimal("-123456789012345678.45"), 20, 2), 19000, 3_723_004,
            TimestampData.fromEpochMillis(1234), TimestampData.fromEpochMillis(1234, 5678), TimestampData.fromEpochMillis(-1), TimestampData.fromEpochMillis(0, 999_999), 14, 86_400_000L};
        rows("rowdata", scalars, values, new Object[scalars.length]);
        rows("rowdata small", new LogicalType[] {new BigIntType(), new VarCharType(10)}, new Object[] {42L, text}, new Object[] {null, null}, new Object[] {7L, longText});
        LogicalType inner = RowType.of(new LogicalType[] {new IntType(), new VarCharType(5)}, new String[] {"number", "text"});
        LogicalType[] nested = {new ArrayType(new IntType()), new ArrayType(new VarCharType(5)), new MapType(new IntType(), new VarCharType(5)), inner,
            new MultisetType(new VarCharType(5)), new ArrayType(inner), new ArrayType(new DecimalType(20, 2)), new MapType(new VarCharType(5), new ArrayType(new BooleanType())),
            new ArrayType(new TimestampType(6))};
        Map<Object, Object> m = map(1, text, 2, null), counts = map(text, 3, longText, 1), deep = map(text, new GenericArrayData(new Object[] {true, null}));
        rows("rowdata nested", nested, new Object[] {
            new GenericArrayData(new Integer[] {1, null, 3}), new GenericArrayData(new Object[] {text, null, longText}), new GenericMapData(m),
            GenericRowData.of(5, longText), new GenericMapData(counts), new GenericArrayData(new Object[] {GenericRowData.of(null, text), null}),
            new GenericArrayData(new Object[] {DecimalData.fromBigDecimal(new BigDecimal("1.00"), 20, 2), null}), new GenericMapData(deep),
            new GenericArrayData(new Object[] {TimestampData.fromEpochMillis(5, 6), null})}, new Object[nested.length]);
        rows("rowdata of 70", Collections.nCopies(70, new TinyIntType()).toArray(new LogicalType[0]),
                java.util.stream.IntStream.range(0, 70).mapToObj(i -> i % 3 == 0 ? null : (byte) i).toArray());
        for (RowKind kind : RowKind.values()) {
            RowDataSerializer s = new RowDataSerializer(new IntType());
            GenericRowData g = GenericRowData.of(5);
            g.setRowKind(kind);
            line("rowdata kind", (TypeSerializer) s, s.toBinaryRow(g).copy(), "[5]");
        }
        TypeSerializer array = new ArrayDataSerializer(new IntType());
        line("arraydata", array, new GenericArrayData(new Integer[] {1, null, 3}), "[1,null,3]");
        line("arraydata empty", array, new GenericArrayData(new Integer[] {}), "[]");
        line("arraydata of text", (TypeSerializer) new ArrayDataSerializer(new VarCharType(9)), new GenericArrayData(new Object[] {text, longText}), "[\"abc\",\"hello world\"]");
        line("arraydata of rows", (TypeSerializer) new ArrayDataSerializer(inner), new GenericArrayData(new Object[] {GenericRowData.of(1, null)}), "[[1,null]]");
        line("mapdata", (TypeSerializer) new MapDataSerializer(new IntType(), new VarCharType(9)), new GenericMapData(map(1, StringData.fromString("x"))), "[[1,\"x\"]]");
        line("mapdata of arrays", (TypeSerializer) new MapDataSerializer(new VarCharType(9), new ArrayType(new BigIntType())),
                new GenericMapData(map(text, new GenericArrayData(new long[] {1, 2}))), "[[\"abc\",[1,2]]]");
        line("decimaldata", (TypeSerializer) new DecimalDataSerializer(10, 2), DecimalData.fromBigDecimal(new BigDecimal("-0.05"), 10, 2), "\"-0.05\"");
        line("decimaldata large", (TypeSerializer) new DecimalDataSerializer(38, 10), DecimalData.fromBigDecimal(new BigDecimal("1.5"), 38, 10), "\"1.5000000000\"");
        line("timestampdata", (TypeSerializer) new TimestampDataSerializer(3), TimestampData.fromEpochMillis(-1), "\"1969-12-31T23:59:59.999\"");
        line("timestampdata 9", (TypeSerializer) new TimestampDataSerializer(9), TimestampData.fromEpochMillis(0, 5), "\"1970-01-01T00:00:00.000000005\"");
        line("stringdata", (TypeSerializer) StringDataSerializer.INSTANCE, StringData.fromString("é\"€"), "\"é\\\"€\"");
        line("rawvalue", (TypeSerializer) new RawValueDataSerializer<>(LongSerializer.INSTANCE), RawValueData.fromObject(5L), "\"0000000000000005\"");
        LinkedList<Long> linked = new LinkedList<>(Arrays.asList(1L, null, 3L));
        line("linkedlist", (TypeSerializer) new LinkedListSerializer<>(LongSerializer.INSTANCE), linked, "[1,null,3]");
        TypeSerializer windowKey = new WindowKeySerializer((org.apache.flink.table.runtime.typeutils.PagedTypeSerializer) new RowDataSerializer(new IntType()));
        RowDataSerializer one = new RowDataSerializer(new IntType());
        line("windowkey", windowKey, new WindowKey(5L, one.toBinaryRow(GenericRowData.of(7)).copy()), "[5,[7]]");
        TreeMap<Long, String> sorted = new TreeMap<>(map(10L, "x", 9L, null));
        line("sortedmap", (TypeSerializer) new SortedMapSerializer<>((Comparator<Long>) (Comparator) Comparator.naturalOrder(), LongSerializer.INSTANCE, StringSerializer.INSTANCE),
                sorted, "[[10,\"x\"],[9,null]]");
        line("table TimeWindow", (TypeSerializer) new org.apache.flink.table.runtime.operators.window.TimeWindow.Serializer(),
                new org.apache.flink.table.runtime.operators.window.TimeWindow(1, 2), "{\"start\":1,\"end\":2}");
        line("table CountWindow", (TypeSerializer) new org.apache.flink.table.runtime.operators.window.CountWindow.Serializer(),
                new org.apache.flink.table.runtime.operators.window.CountWindow(9), "{\"id\":9}");
        TypeSerializer list = new ListSerializer<>(LongSerializer.INSTANCE), map = new MapSerializer<>(LongSerializer.INSTANCE, StringSerializer.INSTANCE);
        line("listview", make("org.apache.flink.table.dataview.ListViewSerializer", list),
                new org.apache.flink.table.api.dataview.ListView<Long>() {{ setList(new ArrayList<>(Arrays.asList(1L, 2L))); }}, "[1,2]");
        line("mapview", make("org.apache.flink.table.dataview.MapViewSerializer", map),
                new org.apache.flink.table.api.dataview.MapView<Long, String>() {{ setMap(map(1L, "a")); }}, "[[1,\"a\"]]");
        line("nullawaremap", make("org.apache.flink.table.dataview.NullAwareMapSerializer", StringSerializer.INSTANCE, LongSerializer.INSTANCE),
                new HashMap<>(map(null, 1L, "a", null)), "[[\"a\",null],[null,1]]");
        line("null", make("org.apache.flink.table.dataview.NullSerializer"), null, "null");
        line("external", (TypeSerializer) org.apache.flink.table.runtime.typeutils.ExternalSerializer.of(org.apache.flink.table.api.DataTypes.ROW(
                org.apache.flink.table.api.DataTypes.INT(), org.apache.flink.table.api.DataTypes.STRING())), Row.of(5, "x"), "[5,\"x\"]");
    }
}
