import Foundation
import Models
import Testing

@testable import IngestionDomain

/// A generator seeded by `MARTLET_SEED`, or anew; the seed is printed so that a failure can be repeated.
func planGenerator(_ test: String = #function) -> SeededGenerator {
    let given = ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: .min ... .max)
    print("\(test): MARTLET_SEED=\(seed)")
    return SeededGenerator(seed: seed)
}

/// A stand-in for a keyed digest, of one length and in letters and digits.
@Sendable func digest(_ text: String) -> String {
    let digits = String(StableHash.hash64("key", text), radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

func isDigest(_ json: JSON?) -> Bool {
    json?.string.map { DigestShape(digest).matches($0) } ?? false
}

extension Array {
    func pick(_ generator: inout SeededGenerator) -> Element {
        self[Int.random(in: 0..<count, using: &generator)]
    }
}

extension SeededGenerator {
    mutating func chance(_ outOf: Int) -> Bool { Int.random(in: 0..<outOf, using: &self) == 0 }

    mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    /// Any value of a few names and texts, so that schemas and values meet.
    mutating func json(depth: Int) -> JSON {
        switch number(0...(depth > 0 ? 7 : 5)) {
        case 0: return .null
        case 1: return .bool(chance(2))
        case 2: return .integer(Int64(number(-3...12)))
        case 3: return .double(Double(number(-30...120)) / 10)
        case 4, 5:
            return .string(["", "a", "ab", "x@example.com", "2026-11-21", "é", "hashed:x"].pick(&self))
        case 6: return .array((0..<number(0...3)).map { _ in json(depth: depth - 1) })
        default:
            var members: [String: JSON] = [:]
            for _ in 0..<number(0...4) { members[Self.names.pick(&self)] = json(depth: depth - 1) }
            return .object(members)
        }
    }

    static let names = ["a", "b", "c", "email", "items", "a/b~c"]

    /// A schema without mistakes, most of the time about objects.
    /// `isWhole` says that it applies to the whole value, which cannot be personal.
    mutating func schema(
        depth: Int, personal: Bool = true, isRoot: Bool = true, isWhole: Bool = true
    ) -> JSON {
        var members: [String: JSON] = [:]
        if isRoot || (depth > 0 && chance(2)) {
            if chance(2) { members["type"] = "object" }
            var properties: [String: JSON] = [:]
            for _ in 0..<number(0...4) where depth > 0 {
                properties[Self.names.pick(&self)] = schema(
                    depth: depth - 1, personal: personal, isRoot: false, isWhole: false)
            }
            members["properties"] = .object(properties)
            if chance(4) { members["required"] = .array([.string(Self.names.pick(&self))]) }
            if chance(3) {
                members["additionalProperties"] =
                    depth > 0 && chance(2)
                    ? schema(depth: depth - 1, personal: personal, isRoot: false, isWhole: false)
                    : .bool(chance(2))
            }
        } else {
            if chance(2) {
                members["type"] = .string(
                    ["null", "boolean", "integer", "number", "string", "array", "object"].pick(&self))
            }
            if chance(4) { members["enum"] = .array([json(depth: 1), json(depth: 0)]) }
            if chance(4) { members["minimum"] = .integer(Int64(number(-2...5))) }
            if chance(4) { members["maxLength"] = .integer(Int64(number(0...2))) }
            if chance(4) { members["pattern"] = .string(["^a", "b$", "[0-9]+", "^(a|b)*$"].pick(&self)) }
            if chance(6) { members["format"] = .string(["email", "date", "uri"].pick(&self)) }
            if depth > 0, chance(3) {
                members["items"] = schema(depth: depth - 1, personal: personal, isRoot: false, isWhole: false)
            }
            if chance(6) { members["maxItems"] = .integer(Int64(number(0...2))) }
            if chance(6) { members["uniqueItems"] = true }
        }
        if depth > 0, chance(6) {
            members[["anyOf", "oneOf", "allOf"].pick(&self)] = .array([
                schema(depth: depth - 1, personal: personal, isRoot: false, isWhole: isWhole),
                schema(depth: depth - 1, personal: false, isRoot: false, isWhole: isWhole),
            ])
        }
        if depth > 0, chance(10) { members["not"] = schema(depth: depth - 1, personal: false, isRoot: false) }
        if personal, !isWhole, chance(4) {
            members["x-martlet-personal"] = .string(["drop", "hash"].pick(&self))
        }
        return .object(members)
    }
}
