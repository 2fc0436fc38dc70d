/// Computed by Python's hmac, not by the code that is tested.
enum WebhookVectors {
    static let hubspot = "CTGMFZSr9OMqzOrFIKO53Lh4mgw5U+ieA2KUjyoJUvw="
    static let hubspotUTF8 = "UPR7PugMpmHII24Pk8mWXEBbK3jG16vgv8I4dojyjno="
    static let zendesk = "UKhbzjhmu8JUpud3NHlbtB0Op1mZuCh1qhsTizJaxfk="
    static let shopify = "nIim5oqpZH2zFjfBsOYDnL2zLtuWeQezvZ/WQNsZkwU="
    static let stripe = "5a31179886fd6f52272dc868a58819c23aeb09bf44f43acf1697d95b138cffb9"
    static let stripeOld = "b477e86f519f0ea17e9f75a6e22fc09cd3e4fe4ad01387dfa0296e932c8bb4dd"
    static let github = "835339fbde00e92b60d71b27a429fcc996779e1a82f19bfc2862895acff00960"
    static let sha512 =
        "VIncGeEfJB8p+LlpmbFqBErM13nEesb3cg3gPgEF3N55XeN6osKwHESfeDCZBFdZymSsKUKnuI+1gtX1eFL/Lw=="
    static let slack = "4d8682267f4f0974982fddf126fa5dd62faba053c2763bf4f01b72df08223fa1"
    static let standard = "jqiCk5HSbNU4dmc5mDiZQawRj+1ikMuoEtWIC/avl9c="
    static let shopifyDigest = "d06abd70401a33cc15c7ee22e135d00b9a10dab994db2e4f49dc22911585c42a"
}
