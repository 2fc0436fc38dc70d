/// About how many bytes values take in memory, as 64-bit Swift lays them out.
enum Footprint {
    static func of<Element>(_ array: [Element]) -> Int {
        array.capacity == 0 ? 0 : 32 + array.capacity * MemoryLayout<Element>.stride
    }

    /// Tables are kept at most three quarters full, and grow twofold.
    static func of<Key, Value>(_ table: [Key: Value]) -> Int {
        var places = 1
        while places * 3 / 4 < table.capacity { places *= 2 }
        return places * (MemoryLayout<Key>.stride + MemoryLayout<Value>.stride) + places / 8
    }

    /// What a text takes beside its own 16 bytes; up to 15 bytes lie within these.
    static func outside(_ text: String) -> Int {
        text.utf8.count <= 15 ? 0 : 48 + text.utf8.count
    }
}
