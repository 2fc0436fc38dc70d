import Foundation
import Models
import Testing

@Suite("Ids, hashes and shards")
struct IdentityOfThingsTests {
    @Test("the stable hash gives the values it has always given")
    func pinned() {
        // FNV-1a of "a" is af63dc4c8601ec8c; MurmurHash3's fmix64 of that follows. Stored rows rest on
        // these: they never change.
        #expect(StableHash.hash64("a") == 0x82A2_A958_A9BE_CE5B)
        #expect(StableHash.hash64("") == 0xEFD0_1F60_BA99_2926)
        #expect(StableHash.hash64("ab", "c") != StableHash.hash64("a", "bc"))
        #expect(StableHash.hash64("ab", "c") == StableHash.hash64(bytes: [0x61, 0x62, 0xFF, 0x63]))
        #expect(StableHash.hash64("journey", "profile", "step") == 0x4921_B05D_E940_E554)
        #expect(Shard(hashing: "someone@example.com").number == 55)
    }

    @Test("the shard of a profile is that of its id's text")
    func shardOfProfile() {
        for _ in 0..<1_000 {
            let id = ProfileID(UUID())
            #expect(Shard(id) == Shard(hashing: id.description), "\(id)")
        }
    }

    @Test("shards divide random profiles evenly")
    func distribution() {
        var generator = seededGenerator()
        var counts = [Int](repeating: 0, count: Shard.count)
        for _ in 0..<64_000 {
            let id = ProfileID(
                UUIDv7.make(at: Instant(milliseconds: 0), random: (generator.next(), generator.next())))
            counts[Int(Shard(id).number)] += 1
        }
        #expect(counts.allSatisfy { (800...1200).contains($0) }, "\(counts)")
    }

    @Test("a profile's shard is that of its text, and numbers outside 0 to 63 are no shards")
    func shards() {
        let id = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 1), from: "x"))
        #expect(Shard(id) == Shard(hashing: id.description))
        #expect(Shard(number: 64) == nil)
        #expect(Shard(number: -1) == nil)
        #expect(Shard.all.map(\.number) == Array(0..<64))
    }

    @Test("a UUIDv7 carries its time, version and variant, and sorts by time")
    func uuidv7() {
        let early = UUIDv7.make(at: Instant(milliseconds: 0x0123_4567_89AB), random: (.max, .max))
        #expect(early.hyphenated == "01234567-89ab-7fff-bfff-ffffffffffff")
        let late = UUIDv7.make(at: Instant(milliseconds: 0x0123_4567_89AC), random: (0, 0))
        #expect(late.hyphenated == "01234567-89ac-7000-8000-000000000000")
        #expect(early.precedes(late))
        #expect(
            UUIDv7.make(at: .distantPast, random: (0, 0)).hyphenated == "00000000-0000-7000-8000-000000000000"
        )
    }

    @Test("a derived id depends on nothing but its time and parts")
    func derived() {
        let at = Instant(milliseconds: 1_700_000_000_000)
        #expect(UUIDv7.derived(at: at, from: "a", "b") == UUIDv7.derived(at: at, from: "a", "b"))
        #expect(UUIDv7.derived(at: at, from: "a", "b") != UUIDv7.derived(at: at, from: "b", "a"))
        #expect(UUIDv7.derived(at: at, from: "a", "b").hyphenated == "018bcfe5-6800-732e-8bd2-68de555c384f")
    }

    @Test("ids are read in either case and written in lower case; nothing else is read")
    func typedIDs() throws {
        let id = try #require(ProfileID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"))
        #expect(id.description == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
        #expect(id.uuid == UUID(uuidString: id.description))
        for bad in [
            "", "017f22e279b07cc398c4dc0c0c07398f", "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
            "g" + id.description.dropFirst(),
            id.description + " ", "{\(id)}", "017f22e2-79b0-7cc3-98c4_dc0c0c07398f",
        ] {
            #expect(ProfileID(bad) == nil)
        }
        #expect(try JSONDecoder().decode([ProfileID].self, from: JSONEncoder().encode([id])) == [id])
    }
}
