import Foundation
import Models
import TestSupport
import Testing

@testable import SegmentationDomain

@Suite("Weights that are learned")
struct LogisticRegressionTests {
    /// By going downhill in small steps, with everything written out.
    private func plainly(
        _ rows: [[Double]], _ labels: [Bool], penalty: Double
    ) -> (intercept: Double, coefficients: [Double]) {
        let width = rows[0].count
        let count = Double(rows.count)
        let means = (0..<width).map { i in rows.map { $0[i] }.reduce(0, +) / count }
        let deviations = (0..<width).map { i in
            (rows.map { ($0[i] - means[i]) * ($0[i] - means[i]) }.reduce(0, +) / count).squareRoot()
        }
        let scaled = rows.map { row in (0..<width).map { (row[$0] - means[$0]) / deviations[$0] } }
        var b = 0.0
        var beta = [Double](repeating: 0, count: width)
        for _ in 0..<8_000 {
            var db = 0.0
            var d = beta.map { penalty * $0 }
            for (row, label) in zip(scaled, labels) {
                let p = 1 / (1 + exp(-(b + zip(beta, row).map(*).reduce(0, +))))
                let miss = p - (label ? 1 : 0)
                db += miss
                for i in 0..<width { d[i] += miss * row[i] }
            }
            b -= db / count * 2
            for i in 0..<width { beta[i] -= d[i] / count * 2 }
        }
        let coefficients = (0..<width).map { beta[$0] / deviations[$0] }
        return (b - zip(coefficients, means).map(*).reduce(0, +), coefficients)
    }

    @Test("it finds what going downhill in small steps finds")
    func oracle() {
        var generator = seededGenerator()
        for _ in 0..<3 {
            let width = Int.random(in: 1...4, using: &generator)
            let truth = (0..<width).map { _ in Double.random(in: -1.5...1.5, using: &generator) }
            let rows = (0..<100).map { _ in
                (0..<width).map { _ in Double.random(in: 0...3, using: &generator) }
            }
            let labels = rows.map { row in
                let z = zip(truth, row).map(*).reduce(-0.5, +)
                return Double.random(in: 0..<1, using: &generator) < 1 / (1 + exp(-z))
            }
            let penalty = Double.random(in: 0.5...5, using: &generator)
            let model = LogisticRegression(features: rows, labels: labels, penalty: penalty)
            let plain = plainly(rows, labels, penalty: penalty)
            #expect(model.hasConverged)
            #expect(abs(model.intercept - plain.intercept) < 1e-4)
            for (one, other) in zip(model.coefficients, plain.coefficients) {
                #expect(abs(one - other) < 1e-4)
            }
        }
    }

    @Test("of one feature with two values, coefficient and error are those of the table of four")
    func fourfold() {
        // 30 of 100 without it convert, 60 of 100 with it: the log of the odds ratio and Woolf's error of it (1955).
        var (rows, labels): ([[Double]], [Bool]) = ([], [])
        for (value, yes) in [(0.0, 30), (1.0, 60)] {
            for number in 0..<100 {
                rows.append([value])
                labels.append(number < yes)
            }
        }
        let model = LogisticRegression(features: rows, labels: labels, penalty: 1e-9)
        #expect(abs(model.coefficients[0] - log((60.0 / 40) / (30.0 / 70))) < 1e-6)
        let error = (1 / 60.0 + 1 / 40.0 + 1 / 30.0 + 1 / 70.0).squareRoot()
        #expect(abs(model.standardErrors[0] - error) < 1e-6)
        #expect(abs(model.intercept - log(30.0 / 70)) < 1e-6)
        #expect(abs(model.probability(of: [1]) - 0.6) < 1e-6)
    }

    @Test("what everybody has in the same way, and what tells everybody apart, is no reason to stop")
    func extremes() {
        let model = LogisticRegression(
            features: (0..<100).map { [1, Double($0 % 7)] }, labels: (0..<100).map { $0 % 3 == 0 }, penalty: 1
        )
        #expect(model.hasConverged && model.coefficients[0] == 0 && model.standardErrors[0] == .infinity)
        let separated = LogisticRegression(
            features: (0..<100).map { [Double($0)] }, labels: (0..<100).map { $0 >= 50 }, penalty: 1)
        #expect(separated.hasConverged && separated.coefficients[0] > 0)
        let nothing = LogisticRegression(features: [], labels: [], penalty: 1)
        #expect(nothing.coefficients.isEmpty)
    }

    @Test("equal guesses share their rank in the area under the curve")
    func auc() {
        #expect(TouchpointModel.auc([0.1, 0.2, 0.3, 0.4], [false, false, true, true]) == 1)
        #expect(TouchpointModel.auc([0.4, 0.3, 0.2, 0.1], [false, false, true, true]) == 0)
        #expect(TouchpointModel.auc([0.5, 0.5, 0.5, 0.5], [false, true, false, true]) == 0.5)
        #expect(TouchpointModel.auc([0.1, 0.5, 0.5, 0.9], [false, false, true, true]) == 0.875)
    }

    /// People who look often and order by chance: more of them after a demo, fewer after a complaint.
    private func population(_ count: Int, _ generator: inout SeededGenerator) -> [(
        ProfileID, ConversionExample
    )] {
        (0..<count).map { number in
            var counts = [Touchpoint(name: "View"): Int.random(in: 0...6, using: &generator)]
            counts[Touchpoint(name: "Demo")] = Int.random(in: 0...2, using: &generator)
            counts[Touchpoint(name: "Complaint")] = Int.random(in: 0...1, using: &generator)
            let z =
                -1 + 1.2 * log1p(Double(counts[Touchpoint(name: "Demo")] ?? 0))
                - 1.5 * log1p(Double(counts[Touchpoint(name: "Complaint")] ?? 0))
            let converts = Double.random(in: 0..<1, using: &generator) < 1 / (1 + exp(-z))
            return (
                ProfileID(UUIDv7.derived(at: Instant(milliseconds: 0), from: "person", "\(number)")),
                ConversionExample(counts: counts.filter { $0.value > 0 }, isConverted: converts)
            )
        }
    }

    @Test(
        "what makes people convert is found with its interval, what doesn't is not, and it beats simpler guesses"
    )
    func learned() throws {
        var generator = seededGenerator()
        let model = try TouchpointModel.learn(from: population(4_000, &generator), of: nil, penalty: 1)
        let found = Dictionary(model.weights.map { ($0.touchpoint.name, $0) }, uniquingKeysWith: { $1 })
        let demo = try #require(found["Demo"])
        let complaint = try #require(found["Complaint"])
        #expect(demo.isClear && abs(demo.coefficient - 1.2) < 0.35)
        #expect(complaint.isClear && abs(complaint.coefficient + 1.5) < 0.5)
        #expect(abs(try #require(found["View"]).coefficient) < 0.25)
        #expect(model.heldOut.logLoss < model.heldOut.baseRateLogLoss)
        #expect(model.heldOut.logLoss < model.heldOut.activityLogLoss)
        #expect(model.heldOut.auc > 0.6 && (1_000...1_700).contains(model.heldOut.people))
        let proposal = try #require(model.proposal(lookback: .hours(240)))
        let scoring = try Scoring(RuleField(proposal))
        #expect(scoring.events.contains { $0.events.names == ["Demo"] && $0.weight.millionths > 0 })
        #expect(scoring.events.contains { $0.events.names == ["Complaint"] && $0.weight.millionths < 0 })
    }

    @Test("in nineteen of twenty samples the interval has the truth in it")
    func coverage() throws {
        var generator = seededGenerator()
        var covered = 0
        for _ in 0..<100 {
            let model = try TouchpointModel.learn(from: population(500, &generator), of: nil, penalty: 0.01)
            let demo = try #require(model.weights.first { $0.touchpoint.name == "Demo" })
            if demo.low <= 1.2, demo.high >= 1.2 { covered += 1 }
        }
        // 88 of 100 or fewer would happen by chance in fewer than three of a thousand runs.
        #expect(covered > 87)
    }

    @Test("of too few nothing is learned, and it is said of how many")
    func tooFew() {
        var generator = seededGenerator()
        #expect(throws: TouchpointModel.Refusal.self) {
            try TouchpointModel.learn(from: Array(population(20, &generator)), of: nil, penalty: 1)
        }
    }

    @Test("an example looks back from an instant that the person decides, and forward by the horizon alone")
    func examples() throws {
        var generator = seededGenerator()
        let start = Instant(milliseconds: 1_700_000_000_000)
        let question = ConversionExample.Question(
            conversion: try EventSelector(RuleField(["event": "Order"])), horizon: .hours(48),
            lookback: .hours(72), now: start + .hours(400))
        for number in 0..<200 {
            let profile = ProfileID(UUIDv7.derived(at: start, from: "person", "\(number)"))
            let events = (0..<Int.random(in: 1...30, using: &generator)).map { index in
                let at = start + .milliseconds(Int64.random(in: 0...1_400_000_000, using: &generator))
                return TrackingEvent(
                    messageID: "\(index)", kind: .track,
                    name: ["View", "Order"][Int.random(in: 0...1, using: &generator)], timestamp: at,
                    receivedAt: at, sourceID: RandomHistory.source)
            }
            let example = ConversionExample(of: profile, events, question)
            let (first, latest) = (events.map(\.timestamp).min() ?? start, start + .hours(352))
            guard first <= latest else {
                #expect(example == nil)
                continue
            }
            let draw = StableHash.hash64("conversion-example", profile.description)
            let cut = first + .milliseconds(Int64(draw % UInt64((latest - first).milliseconds + 1)))
            let before = events.filter { $0.timestamp <= cut && $0.timestamp > cut - .hours(72) }
            var counts: [Touchpoint: Int] = [:]
            for event in before { counts[Touchpoint(name: event.name ?? ""), default: 0] += 1 }
            #expect(example?.counts == counts)
            let end: Instant = cut + .hours(48)
            let converts = events.contains { event in
                event.name == "Order" && event.timestamp > cut && event.timestamp <= end
            }
            #expect(example?.isConverted == converts)
        }
    }
}
