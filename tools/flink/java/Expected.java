import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;

/** Predicts the state of a job from its Spec with plain collections; uses no part of Flink that reads state. */
public final class Expected {
    private Expected() {}

    public static List<String> lines(Spec spec, long keys, long records, int parallelism) {
        List<String> out = new ArrayList<>();
        for (Spec.Keyed op : spec.keyed) {
            for (Spec.State s : op.states) keyed(spec, op, s, keys, records, out);
            timers(spec, op, keys, records, out);
        }
        for (Spec.Window w : spec.windows) window(spec, w, keys, records, out);
        for (Spec.Operator op : spec.operators) {
            for (Spec.OpState s : op.states) {
                boolean broadcast = s.mode.equals("broadcast");
                for (int sub = 0; sub < (broadcast ? 1 : parallelism); sub++) {
                    for (int j = 0; j < s.count; j++) {
                        out.add(Json.line(op.uid, s.name, "operator-" + s.mode, null, null,
                                broadcast ? Json.of(s.userKey.at(sub, j)) : null, Json.of(s.element.at(sub, j)), null));
                    }
                }
            }
        }
        out.sort(Json.ORDER);
        return out;
    }

    private static void keyed(Spec spec, Spec.Keyed op, Spec.State s, long keys, long records, List<String> out) {
        Map<String, Map<String, String[]>> maps = new LinkedHashMap<>();   // key -> user key -> (value, ttl)
        Map<String, List<String>> lists = new LinkedHashMap<>(), listTtls = new LinkedHashMap<>();
        Map<String, long[]> sums = new LinkedHashMap<>();                  // key -> (count, sum)
        for (long i = 0; i < records; i++) {
            if (s.skip.test(i)) continue;
            String key = Json.of(op.key.apply(spec.keyIndex(i, keys)));
            boolean clear = s.clear.test(i);
            String ttl = s.ttl ? Long.toString(spec.ttlTime(i)) : null;
            switch (s.kind) {
                case VALUE:
                case MAP:
                    String u = s.kind == Spec.Kind.MAP ? Json.of(s.userKey.apply(i)) : "";
                    Map<String, String[]> m = maps.computeIfAbsent(key, k -> new LinkedHashMap<>());
                    if (clear) m.remove(u); else m.put(u, new String[] {Json.of(s.value.apply(i)), ttl});
                    break;
                case LIST:
                    if (clear) {
                        lists.remove(key);
                        listTtls.remove(key);
                    } else {
                        lists.computeIfAbsent(key, k -> new ArrayList<>()).add(Json.of(s.value.apply(i)));
                        listTtls.computeIfAbsent(key, k -> new ArrayList<>()).add(ttl);
                    }
                    break;
                default:
                    if (clear) {
                        sums.remove(key);
                    } else {
                        long[] a = sums.computeIfAbsent(key, k -> new long[2]);
                        a[0]++;
                        a[1] += (Long) s.value.apply(i);
                    }
            }
        }
        String kind = s.kind.name().toLowerCase();
        maps.forEach((k, m) -> m.forEach((u, v) ->
                out.add(Json.line(op.uid, s.name, kind, k, "null", u.isEmpty() ? null : u, v[0], v[1]))));
        lists.forEach((k, l) -> out.add(Json.line(op.uid, s.name, kind, k, "null", null,
                "[" + String.join(",", l) + "]", s.ttl ? "[" + String.join(",", listTtls.get(k)) + "]" : null)));
        sums.forEach((k, a) -> out.add(Json.line(op.uid, s.name, kind, k, "null", null,
                s.kind == Spec.Kind.REDUCING ? Long.toString(a[1]) : "[" + a[0] + "," + a[1] + "]", null)));
    }

    private static void timers(Spec spec, Spec.Keyed op, long keys, long records, List<String> out) {
        Map<String, TreeSet<Long>> event = new LinkedHashMap<>(), processing = new LinkedHashMap<>();
        for (long i = 0; i < records; i++) {
            String key = Json.of(op.key.apply(spec.keyIndex(i, keys)));
            Long e = op.eventTimer.apply(i), d = op.deleteEventTimer.apply(i), p = op.processingTimer.apply(i);
            if (e != null) event.computeIfAbsent(key, k -> new TreeSet<>()).add(e);
            if (d != null) event.computeIfAbsent(key, k -> new TreeSet<>()).remove(d);
            if (p != null) processing.computeIfAbsent(key, k -> new TreeSet<>()).add(p);
        }
        event.forEach((k, ts) -> ts.forEach(t -> out.add(Json.line(op.uid, "_timer_state/event_user-timers",
                "timer-event", k, "null", null, t.toString(), null))));
        processing.forEach((k, ts) -> ts.forEach(t -> out.add(Json.line(op.uid, "_timer_state/processing_user-timers",
                "timer-processing", k, "null", null, t.toString(), null))));
    }

    /** The job reduces pairs (record, value) to (highest record, sum of values). */
    private static void window(Spec spec, Spec.Window w, long keys, long records, List<String> out) {
        Map<String, Map<Long, long[]>> sums = new LinkedHashMap<>();       // key -> window start -> pair
        for (long i = 0; i < records; i++) {
            String key = Json.of(w.key.apply(spec.keyIndex(i, keys)));
            long start = Math.floorDiv(spec.timestamp(i), w.sizeMs) * w.sizeMs;
            Map<Long, long[]> of = sums.computeIfAbsent(key, k -> new LinkedHashMap<>());
            long[] pair = of.computeIfAbsent(start, k -> new long[2]);
            pair[0] = i;
            pair[1] += w.value.apply(i);
        }
        sums.forEach((k, m) -> m.forEach((start, pair) -> {
            String ns = Json.of(new TimeWindow(start, start + w.sizeMs));
            out.add(Json.line(w.uid, "window-contents", "reducing", k, ns, null, Json.of(pair), null));
            out.add(Json.line(w.uid, "_timer_state/event_window-timers", "timer-event", k, ns, null,
                    Long.toString(start + w.sizeMs - 1), null));
        }));
    }
}
