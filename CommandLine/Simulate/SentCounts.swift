/// What became of the events that were sent.
struct SentCounts: Sendable, Equatable {
    var events = 0
    var accepted = 0
    var duplicate = 0
    var refused = 0
    /// The first refusals, by message id.
    var refusals: [Refusal] = []

    struct Refusal: Sendable, Equatable {
        let place: String
        let reason: String
    }

    /// More refusals than this are counted, not listed.
    static let listed = 100

    mutating func refuse(_ place: String, _ reason: String) {
        refused += 1
        if refusals.count < Self.listed { refusals.append(Refusal(place: place, reason: reason)) }
    }
}
