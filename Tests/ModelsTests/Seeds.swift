import Foundation
import Models
import Testing

/// A generator seeded by `MARTLET_SEED`, or anew; the seed is printed so that a failure can be repeated.
func seededGenerator(_ test: String = #function) -> SeededGenerator {
    let given = ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: .min ... .max)
    print("\(test): MARTLET_SEED=\(seed)")
    return SeededGenerator(seed: seed)
}

extension JSON {
    /// Any value, nested at most `depth` deep.
    static func random(depth: Int, using generator: inout SeededGenerator) -> JSON {
        switch Int.random(in: 0..<(depth > 0 ? 7 : 5), using: &generator) {
        case 0: return .null
        case 1: return .bool(.random(using: &generator))
        case 2: return .integer(.random(in: .min ... .max, using: &generator))
        case 3: return .double(randomDouble(using: &generator))
        case 4: return .string(randomText(using: &generator))
        case 5:
            let count = Int.random(in: 0...4, using: &generator)
            return .array((0..<count).map { _ in random(depth: depth - 1, using: &generator) })
        default:
            var members: [String: JSON] = [:]
            for _ in 0..<Int.random(in: 0...4, using: &generator) {
                members[randomText(using: &generator)] = random(depth: depth - 1, using: &generator)
            }
            return .object(members)
        }
    }

    private static func randomDouble(using generator: inout SeededGenerator) -> Double {
        let value =
            Bool.random(using: &generator)
            ? Double(bitPattern: generator.next())
            : Double(Int.random(in: -1_000_000...1_000_000, using: &generator)) / 100
        return value.isFinite ? value : 0.5
    }

    private static func randomText(using generator: inout SeededGenerator) -> String {
        let alphabet: [Unicode.Scalar] = [
            "a", "Z", "0", " ", "\"", "\\", "/", "\n", "\u{1}", "é", "漢", "😀", "\u{7F}",
        ]
        var text = ""
        for _ in 0..<Int.random(in: 0...12, using: &generator) {
            text.unicodeScalars.append(alphabet[Int.random(in: 0..<alphabet.count, using: &generator)])
        }
        return text
    }
}
