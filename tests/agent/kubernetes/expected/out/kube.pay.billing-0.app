kube.pay.billing-0.app: [1709287200.100000000, {"log":"started \u00fc in 3 ms\n","stream":"stdout","time":"2024-03-01T10:00:00.1Z"}]
kube.pay.billing-0.app: [1709287200.300000000, {"level":"info","amount":12.5,"stream":"stdout","time":"2024-03-01T10:00:00.3Z"}]
