import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;

/** A type information around a serializer that a snapshot described; Compat.Info completes it. */
abstract class SerializerInfo<T> extends TypeInformation<T> {
    final TypeSerializer<T> serializer;

    SerializerInfo(TypeSerializer<T> s) { serializer = s; }
    @Override public boolean isBasicType() { return false; }
    @Override public boolean isTupleType() { return false; }
    @Override public int getArity() { return 1; }
    @Override public int getTotalFields() { return 1; }
    @SuppressWarnings("unchecked")
    @Override public Class<T> getTypeClass() { return (Class<T>) Object.class; }
    @Override public boolean isKeyType() { return true; }
    @Override public String toString() { return "SerializerInfo"; }
    @Override public boolean equals(Object o) {
        return o instanceof SerializerInfo && ((SerializerInfo<?>) o).serializer.equals(serializer);
    }
    @Override public int hashCode() { return serializer.hashCode(); }
    @Override public boolean canEqual(Object o) { return o instanceof SerializerInfo; }
}
