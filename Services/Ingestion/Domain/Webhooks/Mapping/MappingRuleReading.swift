import Models

extension MappingRule {
    private static let actions = ["track", "identify", "group", "alias", "privacyRequest", "ignore"]

    /// Reads one rule.
    init?(_ value: JSON, _ path: String, _ log: MappingLog) {
        guard
            var reader = MappingReader(
                value, path, log, expected: "a rule with `when` and what to make of it")
        else {
            return nil
        }
        let condition = reader.required("when", expected: "a condition `{type: …}`")
            .flatMap { MappingCondition($0, reader.path(to: "when"), log) }
        let id = Self.id(&reader)
        let aliased = Self.aliasUser(&reader)
        let action = Self.action(&reader)
        let userID = Self.value("userId", &reader) ?? aliased
        var rule = condition.flatMap { condition in
            action.map { MappingRule(id: id ?? $0.usualID, condition: condition, action: $0) }
        }
        rule?.userID = userID
        rule?.anonymousID = Self.value("anonymousId", &reader)
        rule?.email = Self.value("email", &reader)
        rule?.phone = Self.value("phone", &reader)
        rule?.timestamp = Self.value("timestamp", &reader)
        rule?.externalIDs = Self.externalIDs(&reader)
        rule?.properties = MappingValue.members("properties", &reader, 0)
        rule?.traits = MappingValue.members("traits", &reader, 0)
        rule?.context = MappingValue.members("context", &reader, 0)
        // Without a rule these keys were not asked for, and would be reported as unknown beside the real mistake.
        if rule == nil {
            for key in [
                "anonymousId", "email", "phone", "timestamp", "externalIds", "properties", "traits",
                "context",
            ] { _ = reader.optional(key) }
        }
        reader.finish()
        guard let rule else { return nil }
        rule.check(reader)
        self = rule
    }

    private static func value(_ key: String, _ reader: inout MappingReader) -> MappingValue? {
        reader.optional(key).flatMap { MappingValue($0, reader.path(to: key), reader.log) }
    }

    private static func id(_ reader: inout MappingReader) -> String? {
        let expected = "a name of at most 100 bytes without a colon"
        guard let id = reader.optionalText("id", expected: expected) else { return nil }
        guard id.utf8.count <= 100, !id.contains(":") else {
            reader.log.report(.string(id), reader.path(to: "id"), expected: expected)
            return nil
        }
        return id
    }

    private static func action(_ reader: inout MappingReader) -> Action? {
        let written = actions.compactMap { key in reader.optional(key).map { (key: key, value: $0) } }
        guard let (key, value) = written.first, written.count == 1 else {
            reader.log.report(
                reader.path, expected: "one of \(actions.map { "`\($0)`" }.joined(separator: ", "))",
                found: written.isEmpty ? "none" : written.map { "`\($0.key)`" }.joined(separator: " and "))
            return nil
        }
        let path = reader.path(to: key)
        switch key {
        case "track": return MappingValue(value, path, reader.log).map { .track($0) }
        case "group": return MappingValue(value, path, reader.log).map { .group($0) }
        case "alias":
            if value.bool == true { return .aliasExternalIDs }
            guard let previous = value["previousId"] else {
                reader.log.report(
                    value, path,
                    expected: "`{previousId: …, userId: …}`, or true with `externalIds` beside it")
                return nil
            }
            return MappingValue(previous, path + ".previousId", reader.log).map { .alias(previousID: $0) }
        case "identify":
            if value.bool == true { return .identify }
            reader.log.report(value, path, expected: "true")
        case "privacyRequest":
            if let kind = value.string.flatMap(PrivacyRequest.Kind.init) { return .privacyRequest(kind) }
            reader.log.report(
                value, path,
                expected: "one of "
                    + PrivacyRequest.Kind.allCases.map { "`\($0.rawValue)`" }.joined(separator: ", "))
        default:
            if let reason = value.string, !reason.isEmpty { return .ignore(reason) }
            reader.log.report(value, path, expected: "the reason, as a text")
        }
        return nil
    }

    /// The user of an alias stands inside of it.
    private static func aliasUser(_ reader: inout MappingReader) -> MappingValue? {
        guard case .object(let members)? = reader.optional("alias") else { return nil }
        for key in members.keys.sorted() where key != "previousId" && key != "userId" {
            reader.log.report(
                "\(reader.path(to: "alias")).\(key)", expected: "one of `previousId`, `userId`",
                found: "`\(key)`")
        }
        return members["userId"].flatMap {
            MappingValue($0, reader.path(to: "alias") + ".userId", reader.log)
        }
    }

    private static func externalIDs(_ reader: inout MappingReader) -> [ExternalID] {
        let expected = "a list such as `[{type: shopify:customer, path: customer.id}]`"
        let log = reader.log
        return reader.optionalList("externalIds", expected: expected).compactMap { value, path in
            guard case .object(var members) = value,
                case .string(let type)? = members.removeValue(forKey: "type"),
                !type.isEmpty
            else {
                log.report(value, path, expected: "an object with `type` and where the id is")
                return nil
            }
            return MappingValue(.object(members), path, log).map { ExternalID(type: type, value: $0) }
        }
    }
}

extension MappingRule {
    /// What is wrong with the parts together.
    private func check(_ reader: MappingReader) {
        func misplaced(_ key: String, _ expected: String) {
            reader.log.report(reader.path(to: key), expected: expected, found: "`\(key)`")
        }
        switch action {
        case .track: break
        case .identify, .group:
            if !properties.isEmpty { misplaced("properties", "`traits`; properties are of a track") }
        case .alias, .aliasExternalIDs, .privacyRequest, .ignore:
            if !properties.isEmpty { misplaced("properties", "none; properties are of a track") }
            if !traits.isEmpty { misplaced("traits", "none; traits are of an identify or a group") }
        }
        if case .ignore = action { return }
        if case .alias = action {
            if userID == nil {
                reader.log.report(
                    reader.path(to: "alias"), expected: "`userId`: who remains", found: "no `userId`")
            }
            return
        }
        if case .aliasExternalIDs = action {
            if externalIDs.isEmpty {
                reader.log.report(
                    reader.path, expected: "`externalIds`: who remains, and then who becomes them",
                    found: "no `externalIds`")
            }
            for (key, value) in [("userId", userID), ("anonymousId", anonymousID)] where value != nil {
                misplaced(key, "`externalIds` alone; a userId is joined by `{previousId: …, userId: …}`")
            }
            return
        }
        guard userID == nil, anonymousID == nil, email == nil, externalIDs.isEmpty else { return }
        let isPrivacy = if case .privacyRequest = action { true } else { false }
        reader.log.report(
            reader.path,
            expected: "one of `userId`, `anonymousId`, `externalIds`, `email`: "
                + (isPrivacy ? "whose data it is" : "who it was"),
            found: "none")
    }
}

extension MappingRule.Action {
    /// What a rule is called that has no name of its own.
    fileprivate var usualID: String {
        switch self {
        case .track(let value):
            if case .constant(.string(let name)) = value.source {
                "track " + name.prefix(80).replacing(":", with: "-")
            } else {
                "track"
            }
        case .identify: "identify"
        case .group: "group"
        case .alias, .aliasExternalIDs: "alias"
        case .privacyRequest(let kind): kind.rawValue
        case .ignore: "ignore"
        }
    }
}
