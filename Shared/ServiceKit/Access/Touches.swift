/// What a route has to do with people and with what operators set up. Each route that asks for a scope says it, and its
/// contract says the same (`x-martlet-touches`).
package enum Touches: String, CaseIterable, Sendable, Hashable {
    /// Shows what operators have set up, counts and states: nothing of anybody.
    case definitions
    /// Changes what operators have set up.
    case changes
    /// Shows or changes what is known of people. Who may not see identifiers is shown pseudonyms in their place.
    case people
    /// Is of people, and names none of them: it is shown as it is, to everybody who has the scope.
    case pseudonyms
    /// Shows identifiers and little else, or says whose they are: for those alone who may see identifiers.
    case identifiers
}

extension Caller {
    /// Whether it is shown e-mail addresses, names and whatever else names a person.
    package var seesIdentifiers: Bool { may(.identifiersRead) }
}

extension ServiceRequest {
    /// 403 unless the caller may see identifiers. `what` is the part of the request that asks for them.
    package func requireIdentifiers(for what: String) throws(Problem) {
        guard caller.seesIdentifiers else { throw .identifiersHidden(what) }
    }
}

extension Problem {
    /// 403: this would tell who a pseudonym is.
    static func identifiersHidden(_ what: String) -> Problem {
        .forbidden("\(what) is for API keys with the scope `\(Scope.identifiersRead.rawValue)`")
    }
}
