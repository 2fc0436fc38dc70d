package import Models

/// From which probability two records are merged, and from which somebody is asked.
package struct MatchPolicy: Sendable, Hashable {
    /// Pairs at least as likely are merged without asking.
    package let merge: Double
    /// Pairs at least as likely, but not enough to be merged, wait for a review.
    package let review: Double

    /// What becomes of a pair.
    package enum Verdict: String, Sendable, CaseIterable { case merge, review, reject }

    /// - Throws: when a threshold is no probability, or the thresholds are in the wrong order.
    package init(merge: Double = 0.98, review: Double = 0.5) throws(MatchPolicyProblem) {
        guard merge > 0, merge <= 1 else { throw .notAProbability("merge") }
        guard review > 0, review <= 1 else { throw .notAProbability("review") }
        guard review <= merge else { throw .wrongOrder }
        (self.merge, self.review) = (merge, review)
    }

    private init(standardMerge: Double, review: Double) { (merge, self.review) = (standardMerge, review) }

    package static let standard = MatchPolicy(standardMerge: 0.98, review: 0.5)

    /// What becomes of a pair of this probability.
    package func verdict(_ probability: Double) -> Verdict {
        probability >= merge ? .merge : probability >= review ? .review : .reject
    }

    /// The weight in bits that pairs must have to be reviewed at least.
    var reviewWeight: Float { Float(Logarithm.base2(review / max(1 - review, 1e-12))) }
}

/// What is wrong with thresholds.
package enum MatchPolicyProblem: Error, Equatable, CustomStringConvertible {
    case notAProbability(String)
    case wrongOrder

    package var description: String {
        switch self {
        case .notAProbability(let name): "\(name) must be above 0 and at most 1"
        case .wrongOrder: "review must be at most merge"
        }
    }
}

extension MatchPolicy {
    /// Reads `{"merge":0.98,"review":0.5}`; what is left out is as in `standard`.
    package init(json: JSON, at path: String = "") throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        let merge = json["merge"] == nil ? Self.standard.merge : try fields.number("merge")
        let review = json["review"] == nil ? min(Self.standard.review, merge) : try fields.number("review")
        do throws(MatchPolicyProblem) {
            self = try MatchPolicy(merge: merge, review: review)
        } catch {
            throw fields.problem(
                error == .notAProbability("merge") ? "merge" : "review", expected: "\(error)")
        }
    }

    package var json: JSON { ["merge": .double(merge), "review": .double(review)] }
}
