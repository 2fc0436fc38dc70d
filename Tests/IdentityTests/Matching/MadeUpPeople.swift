import Dispatch
import IdentityDomain
import Models

/// Records of people who do not exist, of whom it is known who is who.
struct MadeUpPeople {
    static let fields: [MatchField] = [.givenName, .surname, .dateOfBirth, .city, .postcode, .phone]
    /// How often a value of a later record is another one.
    static let wrong = [0.10, 0.15, 0.05, 0.20, 0.20, 0.30]

    var columns: [[String?]] = Array(repeating: [], count: fields.count)
    var truth: [Int] = []

    /// - Parameter households: whether every other person shares surname, place and phone with the one before.
    init(_ people: Int, records: Int = 2, missing: Double = 0.05, households: Bool = false, seed: UInt64 = 1)
    {
        var generator = SeededGenerator(seed: seed)
        let names = Self.words(600, &generator)
        func name() -> String {
            names[min(Int.random(in: 0..<600, using: &generator), Int.random(in: 0..<600, using: &generator))]
        }
        func values() -> [String] {
            let city = Int.random(in: 0..<80, using: &generator)
            return [
                name(), name(),
                "\(Int.random(in: 1930...2005, using: &generator))-\(10 + Int.random(in: 0..<3, using: &generator))-\(10 + Int.random(in: 0..<19, using: &generator))",
                "town \(names[city])", "\(1000 + city * 20 + Int.random(in: 0..<20, using: &generator))",
                "0\(Int.random(in: 10_000_000...99_999_999, using: &generator))",
            ]
        }
        var last: [String] = values()
        for person in 0..<people {
            var own = values()
            if households, person % 2 == 1 { for field in [1, 3, 4, 5] { own[field] = last[field] } }
            last = own
            for record in 0..<records {
                let other = values()
                for field in Self.fields.indices {
                    let isWrong =
                        record > 0 && Double.random(in: 0..<1, using: &generator) < Self.wrong[field]
                    let isMissing = Double.random(in: 0..<1, using: &generator) < missing
                    columns[field].append(isMissing ? nil : isWrong ? other[field] : own[field])
                }
                truth.append(person)
            }
        }
    }

    private static func words(_ count: Int, _ generator: inout SeededGenerator) -> [String] {
        let syllables = [
            "ba", "ker", "do", "lin", "mo", "ra", "sten", "ti", "wal", "zu", "fre", "gor", "hel", "ja",
        ]
        return (0..<count).map { _ in
            (0..<3).map { _ in syllables.randomElement(using: &generator) ?? "" }.joined()
        }
    }

    func table() throws -> MatchTable { MatchTable(try MatchSchema(Self.fields), columns: columns) }
}

extension MatchWorkers {
    /// As many at a time as there are cores.
    static let cores = MatchWorkers { count, body in
        DispatchQueue.concurrentPerform(iterations: count, execute: body)
    }
}

/// How well what was found fits the truth, by pairs.
struct MatchQuality: CustomStringConvertible {
    let found: Int
    let right: Int
    let all: Int

    init(_ groups: [Int], _ truth: [Int]) {
        found = Self.pairs(groups)
        all = Self.pairs(truth)
        right = Self.pairs(zip(groups, truth).map { $0 * 1_000_003 + $1 })
    }

    init(_ proposals: [MatchProposal], _ truth: [Int]) {
        found = proposals.count
        all = Self.pairs(truth)
        right = proposals.count { truth[$0.a] == truth[$0.b] }
    }

    var precision: Double { Double(right) / Double(max(1, found)) }
    var recall: Double { Double(right) / Double(max(1, all)) }
    var f1: Double { 2 * Double(right) / Double(max(1, found + all)) }
    var description: String { "precision \(precision), recall \(recall), F1 \(f1)" }

    private static func pairs(_ groups: [Int]) -> Int {
        Dictionary(grouping: groups) { $0 }.values.reduce(0) { $0 + $1.count * ($1.count - 1) / 2 }
    }
}
