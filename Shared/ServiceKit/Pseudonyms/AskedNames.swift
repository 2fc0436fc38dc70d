package import Models

/// Tells whether a rule, or a filter in it, asks for somebody by what names them. Whoever is shown pseudonyms could guess by the
/// answers whose they are.
package struct AskedNames: Sendable {
    /// The members that compare a value with another; `exists` says of nobody who they are.
    let comparisons: Set<String>
    /// The members that say what is compared: a trait, or a property of an event.
    private static let subjects = ["name", "property"]

    package init(comparisons: some Sequence<String>) {
        self.comparisons = Set(comparisons).subtracting(["exists", "ignoreCase"])
    }

    /// Whether anything in it compares what is called like a name, or with what looks like one.
    package func stand(in rule: JSON) -> Bool {
        switch rule {
        case .object(let members):
            let compared = members.filter { comparisons.contains($0.key) }
            if !compared.isEmpty {
                let subject = Self.subjects.lazy.compactMap { members[$0]?.string }.first ?? ""
                let names = subject.split(separator: ".").map { PersonalNames.normalised(String($0)) }
                if names.contains(where: PersonalNames.isPersonal) { return true }
                if compared.values.contains(where: Self.looksPersonal) { return true }
            }
            return members.values.contains(where: stand)
        case .array(let elements): return elements.contains(where: stand)
        default: return false
        }
    }

    private static func looksPersonal(_ value: JSON) -> Bool {
        switch value {
        case .string(let text): PersonalNames.looksPersonal(text)
        case .array(let elements): elements.contains(where: looksPersonal)
        default: false
        }
    }
}

extension ServiceRequest {
    /// 403 where a rule asks for somebody by name and the caller may not see names.
    package func refuseNames(in rule: JSON, _ asked: AskedNames) throws(Problem) {
        guard !caller.seesIdentifiers, asked.stand(in: rule) else { return }
        throw .identifiersHidden("a rule that asks for people by what names them")
    }
}
