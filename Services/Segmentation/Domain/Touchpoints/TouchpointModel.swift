import Foundation
package import Models

/// How much each touchpoint predicts a conversion, learned from examples, with what it is worth beside simpler guesses.
package struct TouchpointModel: Sendable {
    package struct Weight: Sendable {
        package var touchpoint: Touchpoint
        /// How many people of the examples had it.
        package var people: Int
        /// What is added to the log of the odds for each unit of log(1 + times), with its 95 % interval.
        package var coefficient: Double
        package var low: Double
        package var high: Double

        /// Whether the data say that it makes a difference at all.
        package var isClear: Bool { low > 0 || high < 0 }
        /// By what the odds are multiplied by having it once.
        package var oddsRatioOfOnce: Double { exp(coefficient * log(2)) }
    }

    /// How well people are told apart of whom nothing was learned: a third, by a hash.
    package struct HeldOut: Sendable {
        package var people: Int
        package var converted: Int
        /// The mean of −log p of what came true: the less, the better.
        package var logLoss: Double
        /// That of giving everybody the share of all.
        package var baseRateLogLoss: Double
        /// That of a model that knows only how much somebody did, not what.
        package var activityLogLoss: Double
        /// How likely it is that somebody who converts is ranked above somebody who does not.
        package var auc: Double
    }

    package var people: Int
    package var converted: Int
    package var weights: [Weight]
    package var heldOut: HeldOut

    /// Why nothing can be learned.
    package enum Refusal: Error, Hashable {
        case tooFew(converted: Int, others: Int)
        case notConverging

        package var text: String {
            switch self {
            case .tooFew(let converted, let others):
                "of the people looked at \(converted) converted and \(others) did not; it takes at least "
                    + "\(TouchpointModel.least) of both: ask about more people, a longer horizon or a commoner event"
            case .notConverging:
                "the touchpoints tell those who convert from those who don't without a doubt, which leaves no measure of "
                    + "each: leave out those that the conversion itself brings about, or raise `penalty`"
            }
        }
    }

    /// So many people must have converted, and so many not.
    package static let least = 30
    /// Touchpoints that are weighed: those that most people had, unless they are named.
    package static let most = 40

    /// `isHeldOut` is in the order of the examples.
    package static func learn(
        from examples: [(profile: ProfileID, example: ConversionExample)], of named: [Touchpoint]?,
        penalty: Double
    ) throws(Refusal) -> TouchpointModel {
        let labels = examples.map(\.example.isConverted)
        let converted = labels.count { $0 }
        guard converted >= least, labels.count - converted >= least else {
            throw .tooFew(converted: converted, others: labels.count - converted)
        }
        var having: [Touchpoint: Int] = [:]
        for (_, example) in examples {
            for touchpoint in example.counts.keys { having[touchpoint, default: 0] += 1 }
        }
        let common = having.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(most).map(\.key)
        let touchpoints = (named ?? common).sorted()
        let rows = examples.map { _, example in touchpoints.map { log1p(Double(example.counts[$0] ?? 0)) } }
        let model = LogisticRegression(features: rows, labels: labels, penalty: penalty)
        guard model.hasConverged else { throw .notConverging }
        let weights = touchpoints.indices.map { index in
            let (value, error) = (model.coefficients[index], model.standardErrors[index])
            return Weight(
                touchpoint: touchpoints[index], people: having[touchpoints[index]] ?? 0, coefficient: value,
                low: value - 1.959964 * error, high: value + 1.959964 * error)
        }
        return TouchpointModel(
            people: labels.count, converted: converted,
            weights: weights.sorted { ($1.coefficient, $0.touchpoint) < ($0.coefficient, $1.touchpoint) },
            heldOut: try heldOut(examples, rows, labels, penalty))
    }

    private static func heldOut(
        _ examples: [(profile: ProfileID, example: ConversionExample)], _ rows: [[Double]], _ labels: [Bool],
        _ penalty: Double
    ) throws(Refusal) -> HeldOut {
        let isOut = examples.map { StableHash.hash64("held-out", $0.profile.description) % 3 == 0 }
        let (learning, asked) = (
            labels.indices.filter { !isOut[$0] }, labels.indices.filter { isOut[$0] }
        )
        let activity = examples.map { [log1p(Double($0.example.counts.values.reduce(0, +)))] }
        func fit(_ rows: [[Double]]) throws(Refusal) -> [Double] {
            let model = LogisticRegression(
                features: learning.map { rows[$0] }, labels: learning.map { labels[$0] }, penalty: penalty)
            guard model.hasConverged else { throw .notConverging }
            return asked.map { model.probability(of: rows[$0]) }
        }
        let truth = asked.map { labels[$0] }
        let rate = Double(learning.count { labels[$0] }) / Double(max(learning.count, 1))
        let guesses = try fit(rows)
        return HeldOut(
            people: asked.count, converted: truth.count { $0 }, logLoss: logLoss(guesses, truth),
            baseRateLogLoss: logLoss(truth.map { _ in rate }, truth),
            activityLogLoss: logLoss(try fit(activity), truth), auc: auc(guesses, truth))
    }

    private static func logLoss(_ guesses: [Double], _ truth: [Bool]) -> Double {
        let sum = zip(guesses, truth).reduce(0.0) { sum, pair in
            sum - log(max(1e-15, pair.1 ? pair.0 : 1 - pair.0))
        }
        return sum / Double(max(truth.count, 1))
    }

    /// The area under the curve, by ranks; equal guesses share theirs (Mann and Whitney 1947).
    static func auc(_ guesses: [Double], _ truth: [Bool]) -> Double {
        let order = guesses.indices.sorted { guesses[$0] < guesses[$1] }
        var (ranks, place) = (0.0, 0)
        while place < order.count {
            var end = place
            while end < order.count, guesses[order[end]] == guesses[order[place]] { end += 1 }
            let rank = Double(place + end + 1) / 2
            for index in order[place..<end] where truth[index] { ranks += rank }
            place = end
        }
        let positive = Double(truth.count { $0 })
        let negative = Double(truth.count) - positive
        guard positive > 0, negative > 0 else { return 0.5 }
        return (ranks - positive * (positive + 1) / 2) / (positive * negative)
    }

    /// A score that weighs the touchpoints so, to be looked at and stored: the strongest has 10 points, and what makes no
    /// clear difference has none. Points halve in half of the time that was looked back.
    package func proposal(lookback: Duration) -> JSON? {
        let clear = weights.filter(\.isClear).sorted { abs($0.coefficient) > abs($1.coefficient) }
            .prefix(ScoreLimits.events)
        guard let strongest = clear.map({ abs($0.coefficient) }).max(), strongest > 0 else { return nil }
        let events = clear.compactMap { weight -> JSON? in
            let points = (weight.coefficient / strongest * 100).rounded() / 10
            guard points != 0 else { return nil }
            var members: [String: JSON] = [
                "event": .string(weight.touchpoint.name), "weight": .double(points),
            ]
            if weight.touchpoint.kind != .track { members["type"] = .string(weight.touchpoint.kind.rawValue) }
            return .object(members)
        }
        guard !events.isEmpty else { return nil }
        return [
            "events": .array(events),
            "halfLife": .string(Duration.milliseconds(max(1, lookback.milliseconds / 2)).text),
        ]
    }
}
