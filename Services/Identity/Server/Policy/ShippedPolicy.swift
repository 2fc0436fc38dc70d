/// The text of the policy that Martlet ships, to begin one's own with. A test compares it with `IdentityPolicy.standard`.
enum ShippedPolicy {
    static let source = """
        # What counts as an identifier. A type that is not named here is none.
        # Numbers without a country are taken for this country's, e.g. `defaultRegion: CH`. Without it they are none.

        # Values that senders put where they have none, of whatever type.
        blocked:
          zeros: true
          values:
            ["null", "(null)", "nil", "none", "undefined", "nan", "n/a", "na", "unknown", "anonymous", "guest", "-1",
             "true", "false", "[object object]"]

        # `priority`: the smaller, the stronger. Where two can't both be one person's, the weaker is let go.
        # `limit`: how many a profile may hold; with `window` only those seen within it count.
        # `sharedBy`: a value that was seen with so many other people says nothing any more.
        types:
          userId:
            {priority: 10, from: [userId], limit: 1}
          # Two accounts of a shop are two customers, whatever cart or device they share, as two of userId are. Who has
          # several shops under one roof may take this line away: then what holds is what stands under externalIds.
          shopify:customer:
            {priority: 20, normalise: [trim, nfc], limit: 1}
          email:
            priority: 30
            from: [traits.email, context.traits.email]
            shape: email
            normalise: [trim, nfkc, lowercase]
            limit: 5
            maxBytes: 254
            sharedBy: 20
            blocked: {patterns: ["*@example.invalid", "test@test.*", "noreply@*", "no-reply@*"]}
          phone:
            priority: 40
            from: [traits.phone, context.traits.phone]
            shape: phone
            normalise: [trim, nfkc]
            limit: 5
            maxBytes: 40
            sharedBy: 20
          deviceId:
            {priority: 50, from: [context.device.id], sharedBy: 20}
          anonymousId:
            {priority: 60, from: [anonymousId], sharedBy: 20}

        # Ids of other systems, from context.externalIds, that are not among the types: salesforce:contact,
        # hubspot:contact, zendesk:user, … Without it they are none.
        externalIds: {priority: 20, normalise: [trim, nfc], limit: 5}

        # Which value of a trait holds, where it isn't the latest: `first`, `max`, `union` (of lists their elements), or
        # `priority` with the ids of sources, the best first.
        # traits:
        #   birthday: {rule: first}
        #   interests: {rule: union}
        #   plan: {rule: priority, sources: [01981d8c-9d00-7000-8000-000000000001]}
        """
}
