import Models

/// Makes the items of one rule for one record.
struct CallBuilder {
    let rule: MappingRule
    let record: InboundRecord
    let receivedAt: Instant

    /// Who it was.
    private struct Subject {
        var userID: String?
        var anonymousID: String?
        var email: String?
        var phone: String?
        var externalIDs: [MappedPrivacyRequest.ExternalID] = []

        /// Whether nothing says who it was, but perhaps an address.
        var isUnnamed: Bool { userID == nil && anonymousID == nil && externalIDs.isEmpty }
    }

    var items: [MappedItem] {
        do throws(MappingFailure) {
            return try outcomes()
        } catch {
            return [item(.failed(reason: error.reason))]
        }
    }

    private func item(_ outcome: MappedItem.Outcome, part: Int? = nil) -> MappedItem {
        MappedItem(
            rule: rule.id, messageID: MappedItem.messageID(record, rule: rule.id, part: part),
            outcome: outcome)
    }

    private func outcomes() throws(MappingFailure) -> [MappedItem] {
        switch rule.action {
        case .ignore(let reason): return [item(.ignored(reason: reason))]
        case .privacyRequest(let kind): return [item(.privacyRequest(try privacyRequest(kind)))]
        case .track(let name):
            guard let name = try text(name, "track") else {
                throw MappingFailure(member: "track", expected: "the name of an event")
            }
            return [item(.call(try call(.track, ["event": .string(name)])))]
        case .identify: return [item(.call(try call(.identify)))]
        case .group(let id):
            guard let id = try text(id, "group") else {
                throw MappingFailure(member: "group", expected: "the id of a group")
            }
            return [item(.call(try call(.group, ["groupId": .string(id)])))]
        case .alias(let previousID):
            let ids = try texts(previousID, "alias.previousId")
            guard !ids.isEmpty else { throw MappingFailure(member: "alias.previousId", expected: "there") }
            var items: [MappedItem] = []
            for (index, id) in ids.enumerated() {
                let part = ids.count > 1 ? index : nil
                let call = try call(.alias, ["previousId": .string(id)], part: part)
                let isSame = call["userId"]?.string == id
                items.append(
                    item(isSame ? .ignored(reason: "it would join an id to itself") : .call(call), part: part)
                )
            }
            return items
        case .aliasExternalIDs: return try joins()
        }
    }

    /// A call for each id that becomes the first: so each stands or falls by itself.
    private func joins() throws(MappingFailure) -> [MappedItem] {
        let ids = try subject().externalIDs
        guard let first = ids.first, ids.count > 1 else {
            throw MappingFailure(
                member: "externalIds", expected: "two ids: who remains, and who becomes them")
        }
        var others: [MappedPrivacyRequest.ExternalID] = []
        for id in ids where id != first && !others.contains(id) { others.append(id) }
        if others.isEmpty { return [item(.ignored(reason: "it would join an id to itself"))] }
        var items: [MappedItem] = []
        for (index, id) in others.enumerated() {
            let part = others.count > 1 ? index : nil
            items.append(item(.call(try call(.alias, joining: [first, id], part: part)), part: part))
        }
        return items
    }

    // MARK: Parts of a call

    private func call(
        _ kind: TrackingEvent.Kind, _ own: [String: JSON] = [:],
        joining ids: [MappedPrivacyRequest.ExternalID]? = nil, part: Int? = nil
    ) throws(MappingFailure) -> JSON {
        var subject = try subject()
        if let ids { subject.externalIDs = ids }
        // Somebody who is known by nothing but an address is named by it as by an id of another system.
        if subject.isUnnamed, let email = subject.email {
            subject.externalIDs = [.init(type: Identifier.Kind.email.rawValue, id: email)]
        }
        guard !subject.isUnnamed else {
            throw MappingFailure(
                member: "userId", expected: "there, or anonymousId, externalIds or email, to say who it was")
        }
        if kind == .alias, ids == nil, subject.userID == nil {
            throw MappingFailure(member: "alias.userId", expected: "there, to say who remains")
        }
        var item = own
        item["type"] = .string(kind.rawValue)
        item["messageId"] = .string(MappedItem.messageID(record, rule: rule.id, part: part))
        item["timestamp"] = .string(try timestamp().rfc3339)
        item["userId"] = subject.userID.map { .string($0) }
        item["anonymousId"] = subject.anonymousID.map { .string($0) }
        let traits = try traits(subject)
        var context = try context(subject)
        switch kind {
        case .identify, .group: if !traits.isEmpty { item["traits"] = .object(traits) }
        default: if !traits.isEmpty { context["traits"] = .object(traits) }
        }
        let properties = try MappingValue.object(rule.properties, in: scope, member: "properties")
        if !properties.isEmpty { item["properties"] = .object(properties) }
        item["context"] = .object(context)
        return .object(item)
    }

    private func traits(_ subject: Subject) throws(MappingFailure) -> [String: JSON] {
        var traits = try MappingValue.object(rule.traits, in: scope, member: "traits")
        if traits["email"] == nil { traits["email"] = subject.email.map { .string($0) } }
        if traits["phone"] == nil { traits["phone"] = subject.phone.map { .string($0) } }
        return traits
    }

    /// `integration` says where the call came from; `externalIds` are in the form that Segment documents
    /// ("Identity resolution: external ids").
    private func context(_ subject: Subject) throws(MappingFailure) -> [String: JSON] {
        var context = try MappingValue.object(rule.context, in: scope, member: "context")
        context["integration"] = [
            "name": .string(record.provider.rawValue), "type": .string(record.type), "rule": .string(rule.id),
        ]
        if !subject.externalIDs.isEmpty {
            context["externalIds"] = .array(
                subject.externalIDs.map { id in
                    [
                        "type": .string(id.type), "id": .string(id.id), "collection": "users",
                        "encoding": "none",
                    ]
                })
        }
        return context
    }

    private func privacyRequest(_ kind: PrivacyRequest.Kind) throws(MappingFailure) -> MappedPrivacyRequest {
        let subject = try subject()
        guard !subject.isUnnamed || subject.email != nil else {
            throw MappingFailure(member: "userId", expected: "there, to say whose data it is")
        }
        return MappedPrivacyRequest(
            kind: kind, userID: subject.userID, anonymousID: subject.anonymousID, email: subject.email,
            phone: subject.phone, externalIDs: subject.externalIDs, requestedAt: try timestamp())
    }

    private func subject() throws(MappingFailure) -> Subject {
        var subject = Subject()
        if let value = rule.userID { subject.userID = try text(value, "userId") }
        if let value = rule.anonymousID { subject.anonymousID = try text(value, "anonymousId") }
        if let value = rule.email { subject.email = try text(value, "email") }
        if let value = rule.phone { subject.phone = try text(value, "phone") }
        for (index, external) in rule.externalIDs.enumerated() {
            for id in try texts(external.value, "externalIds.\(index)") {
                subject.externalIDs.append(.init(type: external.type, id: id))
            }
        }
        return subject
    }

    private func timestamp() throws(MappingFailure) -> Instant {
        guard let value = rule.timestamp, let found = try value.json(in: scope, member: "timestamp") else {
            return record.occurredAt ?? receivedAt
        }
        guard let instant = found.string.flatMap(VendorTime.instant) else {
            throw MappingFailure(member: "timestamp", expected: "a time with its offset from UTC")
        }
        return instant
    }

    /// The names that the rule gives somebody, as many as can be read, whatever else is wrong with the record.
    var subjects: [String] {
        var values = [rule.userID, rule.anonymousID, rule.email, rule.phone].compactMap { $0 }
        if case .alias(let previousID) = rule.action { values.append(previousID) }
        let names = values.flatMap { (try? texts($0, "")) ?? [] }
        let externalIDs = rule.externalIDs.flatMap { external in
            ((try? texts(external.value, "")) ?? []).map { "\(external.type):\($0)" }
        }
        // As they are, because a userId may look like an address, and as identity writes them.
        return names + names.flatMap { RecordSubjects.names(in: $0) } + externalIDs
    }

    // MARK: Texts

    private var scope: MappingValue.Scope { MappingValue.Scope(here: record.object, record: record) }

    /// One identifier or name; empty is as good as none.
    private func text(_ value: MappingValue, _ member: String) throws(MappingFailure) -> String? {
        let texts = try texts(value, member)
        guard texts.count <= 1 else {
            throw MappingFailure(member: member, expected: "one text, not several")
        }
        return texts.first
    }

    private func texts(_ value: MappingValue, _ member: String) throws(MappingFailure) -> [String] {
        guard let found = try value.json(in: scope, member: member) else { return [] }
        var texts: [String] = []
        for element in found.array ?? [found] {
            if let text = element.string, text.trimmed.isEmpty { continue }
            guard let text = element.identifierText else {
                throw MappingFailure(member: member, expected: "a text or a whole number")
            }
            guard text.utf8.count <= 1024 else {
                throw MappingFailure(member: member, expected: "at most 1024 bytes")
            }
            texts.append(text)
        }
        return texts
    }
}
