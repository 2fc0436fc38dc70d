import Foundation
import Models
import Sealing
import Testing

@Suite("Sealing")
struct SealingTests {
    private let key = SealingKey.random()

    @Test("what is sealed opens at its own place alone")
    func place() throws {
        let sealed = try key.seal(Array("ada@example.com".utf8), at: "identifier 1")
        #expect(try key.open(sealed, at: "identifier 1") == Array("ada@example.com".utf8))
        #expect(throws: SealingError.altered(place: "identifier")) {
            try key.open(sealed, at: "identifier 2")
        }
        #expect(throws: SealingError.self) { try SealingKey.random().open(sealed, at: "identifier 1") }
    }

    @Test("any changed bit is noticed")
    func bits() throws {
        let sealed = try key.seal(Array("Ada".utf8), at: "p")
        for index in sealed.indices {
            for bit in 0..<8 {
                var changed = sealed
                changed[index] ^= 1 << bit
                #expect(throws: SealingError.self) { try key.open(changed, at: "p") }
            }
        }
        for length in 0..<sealed.count {
            #expect(throws: SealingError.self) { try key.open(sealed.prefix(length), at: "p") }
        }
    }

    @Test("the same value is sealed differently each time")
    func nonces() throws {
        let sealed = try (0..<100).map { _ in try key.seal([1, 2, 3], at: "p") }
        #expect(Set(sealed).count == 100)
    }

    @Test("texts tell themselves apart from those that are not sealed")
    func texts() throws {
        let sealed = try key.seal(Array("Grüße 💥".utf8), at: "p")
        let text = String(decoding: SealedText.text(sealed, under: "d7"), as: UTF8.self)
        let read = try #require(SealedText.read(text))
        #expect(read.name == "d7")
        #expect(read.sealed == sealed)
        for plain in ["", "{}", "{\"a\":1}", "ada@example.com", "~", "~x"] {
            #expect(SealedText.read(plain) == nil)
        }
        #expect(SealedText.read("~d7.not base64")?.sealed == Data())
    }

    // MARK: Key-encryption keys

    private static let digits = String(repeating: "0f", count: 32)

    @Test("the list of key-encryption keys is read, the first one wrapping and all of them opening")
    func ring() throws {
        let (old, new) = (KeyEncryptionKeys.Entry.random(), KeyEncryptionKeys.Entry.random())
        let before = KeyEncryptionKeys(try KeyEncryptionKeys.parse(old.text))
        let after = KeyEncryptionKeys(try KeyEncryptionKeys.parse("\(new.text)\n\(old.text)\n"))
        let wrapped = try before.wrap(key, at: "key of 1")
        #expect(wrapped.kekID == old.id)
        let opened = try after.unwrap(wrapped, at: "key of 1")
        #expect(try opened.open(key.seal([7], at: "p"), at: "p") == [7])
        #expect(try after.wrap(key, at: "key of 1").kekID == new.id)
        #expect(throws: SealingError.self) { try after.unwrap(wrapped, at: "key of 2") }
        #expect(throws: SealingError.unknownKey(id: new.id)) {
            try before.unwrap(try after.wrap(key, at: "key of 1"), at: "key of 1")
        }
    }

    @Test(
        "a list with a mistake is refused with its place, and without what stands there",
        arguments: [
            ("", 1), ("k1", 1), ("k1:", 1), ("k1:00", 1), (":\(digits)", 1), ("k 1:\(digits)", 1),
            ("k1:\(digits) k1:\(digits)", 2), ("k1:\(digits) k2:\(digits)0", 2),
            ("k1:\(digits.dropLast())g", 1),
            ("derived:\(digits)", 1), ("k1:\(digits):x", 1),
        ])
    func mistakes(text: String, number: Int) throws {
        let problem = #expect(throws: KeyEncryptionKeysProblem.self) { try KeyEncryptionKeys.parse(text) }
        #expect(problem?.number == number)
        #expect(problem?.description.contains("0f0f") == false)
    }

    @Test("a key that is added to the source reaches a process that runs")
    func reload() throws {
        let (old, new) = (KeyEncryptionKeys.Entry.random(), KeyEncryptionKeys.Entry.random())
        let file = FileManager.default.temporaryDirectory.appending(path: "keys-\(UUID())")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(old.text.utf8).write(to: file)
        let running = KeyEncryptionKeys([old]) {
            try KeyEncryptionKeys.parse(String(decoding: try Data(contentsOf: file), as: UTF8.self))
        }
        let wrapped = try KeyEncryptionKeys([new]).wrap(key, at: "p")
        #expect(throws: SealingError.unknownKey(id: new.id)) { try running.unwrap(wrapped, at: "p") }
        try Data("\(new.text) \(old.text)".utf8).write(to: file)
        _ = try running.unwrap(wrapped, at: "p")
        #expect(running.currentID == new.id)
        // What can't be read is no reason to forget what was.
        try Data("half a fi".utf8).write(to: file)
        #expect(throws: SealingError.unknownKey(id: "k9")) {
            try running.unwrap(WrappedKey(kekID: "k9", bytes: wrapped.bytes), at: "p")
        }
        _ = try running.unwrap(wrapped, at: "p")
    }

    @Test("days are those of UTC, also before 1970")
    func days() {
        #expect(SealingDay(Instant(milliseconds: 0)).number == 0)
        #expect(SealingDay(Instant(milliseconds: -1)).number == -1)
        #expect(SealingDay(Instant(milliseconds: 86_399_999)).number == 0)
        #expect(SealingDay(number: 3).start == Instant(milliseconds: 3 * 86_400_000))
    }
}
